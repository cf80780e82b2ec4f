"""
Tests of :mod:`rdv.commands.loading`: what is loaded for a command, each time in a new process.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from rdv.test.certificates import Authority

_START = """
import sys
from rdv.commands.arguments import parse
from rdv.commands.loading import load

for words, environment in {commands!r}:
    load(parse(words), environment)
from rdv.commands import running, stream
from twisted.internet import endpoints, reactor
import rdv._flows.kernel.takeover
"""

#: What ``rdv dial`` does not need for an ``http`` server and a token that is no secret, by the
#: beginning of the module's name. Loading any of them would make it slower.
_UNWANTED = (
    "OpenSSL",
    "cryptography",
    "rdv.check",
    "rdv.client.http.verification",
    "rdv.commands.explaining",
    "rdv.endpoints.endpoint",
    "rdv.endpoints.listener",
    "rdv.explain",
    "rdv.server",
    "rdv.settings",
    "rdv.testing",
    "rdv._stdio.progress",
    "service_identity",
    "ssl",
    "tqdm",
    "twisted.internet.ssl",
    "twisted.protocols.tls",
)
_HTTP, _HTTPS = "http://a.example/rdv", "https://a.example/rdv"


_PLAIN: tuple[list[str], dict[str, str]] = (["dial", _HTTP, "token"], {})


def said_by(program: str, *commands: tuple[list[str], dict[str, str]]) -> str:
    """What a program says for which everything was loaded as for these commands."""
    done = subprocess.run(
        [sys.executable, "-c", _START.format(commands=commands) + program],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


class LoadingTests(SynchronousTestCase):
    """``load``."""

    def test_plain(self) -> None:
        """A short command loads nothing that it does not need, and Twisted's reactor is there."""
        program = (
            f"print([each for each in sys.modules if each.startswith({_UNWANTED})],"
            "reactor.running, endpoints.TLSMemoryBIOFactory)"
        )
        self.assertEqual(said_by(program, _PLAIN), "[] False None")

    def test_tls(self) -> None:
        """Who may have to speak TLS has all of Twisted; a server may come from the environment."""
        said = said_by(
            "print(endpoints.TLSMemoryBIOFactory.__name__)",
            (["dial", _HTTPS.upper(), "token"], {}),
            (["accept", f"{_HTTP},{_HTTPS}", "token"], {}),
            (["dial", "token"], {"RDV_SERVER": _HTTPS}),
            (["expose", _HTTP, "token", "22"], {}),
        )
        self.assertEqual(said, "TLSMemoryBIOFactory")

    def test_later(self) -> None:
        """What needs TLS after all finds it."""
        program = (
            "from rdv.client import tls_policy\n"
            "from twisted.internet.protocol import Factory, Protocol\n"
            "from twisted.internet.testing import StringTransport\n"
            f"creator = tls_policy(ca={Authority().pem!r}).creatorForNetloc(b'a.example', 443)\n"
            "from twisted.protocols.tls import TLSMemoryBIOFactory\n"
            "factory = TLSMemoryBIOFactory(creator, True, Factory.forProtocol(Protocol))\n"
            "tls, wire = factory.buildProtocol(None), StringTransport()\n"
            "tls.makeConnection(wire)\n"
            "print(wire.value()[0])"
        )
        self.assertEqual(said_by(program, _PLAIN), "22")  # a handshake

    def test_seldom_used(self) -> None:
        """
        asyncio has not run, and it and the others do when they are used. What a version of Twisted
        uses at once differs.
        """
        program = (
            "from rdv.commands.late import _waiting\n"
            "from rdv.commands.loading import _SELDOM_USED\n"
            "from types import ModuleType\n"
            "import sys\n"
            "loaded = {name: sys.modules[name] for name in _SELDOM_USED if name in sys.modules}\n"
            "print(loaded.keys() >= _waiting.keys() >= {'asyncio'})\n"
            "print([name for name in loaded if not len(vars(loaded[name])) > 10])\n"
            "print(_waiting, {type(each) for each in loaded.values()} == {ModuleType})\n"
        )
        for url in _HTTP, _HTTPS:
            said = said_by(program, (["dial", url, "token"], {}))
            self.assertEqual(said.splitlines(), ["True", "[]", "{} True"])

    def test_asyncio(self) -> None:
        """asyncio is whole when it is used, with TLS, and Twisted's parts of it are its own."""
        program = (
            "import asyncio.sslproto\n"
            "from twisted.internet.defer import Deferred, Future, succeed\n"
            "async def main():\n"
            "    future = asyncio.get_running_loop().create_future()\n"
            "    future.set_result(1)\n"
            "    said = [await succeed(2).asFuture(asyncio.get_running_loop())]\n"
            "    Deferred.fromFuture(future).addCallback(said.append)\n"
            "    await asyncio.sleep(0)\n"
            "    return said\n"
            "print(asyncio.run(main()), Future is asyncio.Future, asyncio.sslproto.ssl.__name__)"
        )
        self.assertEqual(said_by(program, _PLAIN), "[2, 1] True ssl")

    def test_collector(self) -> None:
        """Garbage is not collected while modules are loaded, but is when the command runs."""
        program = (
            "import gc\n"
            "from rdv.commands import cli\n"
            "async def run(*_):\n"
            "    print(gc.isenabled(), gc.get_freeze_count() > 0)\n"
            "stream.run = run\n"
            "cli.load = lambda *_: print(gc.isenabled())\n"
            f"cli.main({_PLAIN[0]})"
        )
        self.assertEqual(said_by(program, _PLAIN).split(), ["False", "True", "True"])
