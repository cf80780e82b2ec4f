"""
Check an installed rdv. Run this with its Python, in a folder that is not a checkout.

It is the distribution txrdv. Every module must be importable with only the declared dependencies,
``twist`` must list the plugin without output on stderr, both commands must show their help, and
Twisted must understand the endpoint strings.
"""

import importlib
import pkgutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent


def run(*command: str) -> str:
    """The stdout of a command; exits when it fails or writes to stderr."""
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or done.stderr:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def import_everything() -> None:
    """
    Import all modules except the tests, which may use more than the package declares, and
    ``__main__``, which is a program.
    """
    package = importlib.import_module("rdv")
    for module in pkgutil.walk_packages(package.__path__, "rdv."):
        if not f"{module.name}.".startswith("rdv.test.") and not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


def describe_endpoints() -> None:
    """Check that Twisted finds the parsers."""
    description = r"rdv:http\://localhost/rdv:token=abc"
    for function in ("clientFromString", "serverFromString"):
        done = run(
            "python",
            "-c",
            f"from twisted.internet import endpoints, reactor\n"
            f"print(type(endpoints.{function}(reactor, {description!r})).__module__)",
        )
        if done.strip() != "rdv.endpoints.endpoint":
            sys.exit(f"{function} makes of {description!r} something of {done}")


if __name__ == "__main__":
    import_everything()
    if version("txrdv") != sys.modules["rdv"].__version__:
        sys.exit("the distribution txrdv is not this rdv")
    describe_endpoints()
    for attempt in ("first", "second"):  # the first one writes Twisted's plugin cache, if it may
        listing = run("twist", "--help").splitlines()
        if sum(line.split()[:1] == ["rdv"] for line in listing) != 1:
            sys.exit(f"twist --help does not list rdv once ({attempt} run)")
    for command in (["twist", "rdv", "--help"], ["rdv", "--help"]):
        if not run(*command).strip():
            sys.exit(f"{' '.join(command)} prints nothing")
