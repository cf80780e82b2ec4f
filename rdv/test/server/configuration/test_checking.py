"""
Files and other things that settings name are checked before a server starts.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import RdvError
from rdv.server.configuration import checking
from rdv.server.configuration.checking import refusals, warnings
from rdv.server.configuration.reading import PREFIX, Configuration
from rdv.tap import Options, makeService
from rdv.test.certificates import CertificateFiles
from twisted import internet


class CheckTests(SynchronousTestCase):
    def check(self, **variables: str) -> list[str]:
        """What is wrong with these; nothing is opened for it."""
        reactor: Any = MemoryReactorClock()
        environ = {f"{PREFIX}{name}": text for name, text in variables.items()}
        found = refusals(reactor, Configuration({}, environ))
        self.assertEqual((reactor.tcpServers, reactor.getDelayedCalls()), ([], []))
        self.assertNotIn("\n", "".join(found))
        return found

    def test_good(self) -> None:
        self.assertEqual(self.check(), [])
        self.assertEqual(self.check(LISTEN="*:443,[::1]:8080,443,127.0.0.1:0"), [])

    def test_addresses(self) -> None:
        """Each that is wrong, and where it stands."""
        found = self.check(LISTEN="65536,tcp:8080,nonsense:8080,ssl:443:privateKey=/no")
        self.assertEqual(len(found), 3)
        self.assertEqual(found[0], "RDV_SERVE_LISTEN: not a port: 65536")
        self.assertIn("RDV_SERVE_LISTEN: cannot listen on 'nonsense:8080': ", found[1])
        self.assertIn("No such file or directory: '/no'", found[2])

    def test_tls(self) -> None:
        """Its files are read, and what they hold has to fit."""
        files = CertificateFiles(self.mktemp())
        good = {"CERT": files.chain, "KEY": files.key, "TLS": "443"}
        self.assertEqual(self.check(**good), [])
        said = "tls: needs cert, a file of the certificate and its key"
        self.assertEqual(self.check(TLS="443"), [said])
        self.assertEqual(self.check(KEY=files.key), ["key: needs tls"])
        self.assertEqual(
            self.check(**{**good, "TLS": "ssl:443"}),
            ["RDV_SERVE_TLS: cannot listen on 'ssl:443': it uses TLS anyway"],
        )
        files.write(files.key, files.issue()[1])
        said = f"RDV_SERVE_CERT: {files.key} is not the key for {files.chain}"
        self.assertEqual(self.check(**good), [said])
        self.assertEqual(
            self.check(**{**good, "CERT": "/nowhere"}),
            ["RDV_SERVE_CERT: /nowhere: No such file or directory"],
        )

    def test_systemd(self) -> None:
        """Its sockets are the server's, and not those of who checks."""
        self.assertEqual(self.check(LISTEN="systemd:domain=INET:index=0"), [])

    def test_warnings(self) -> None:
        files = CertificateFiles(self.mktemp())
        environ = {
            "RDV_SERVE_CERT": files.chain,
            "RDV_SERVE_TLS": "443",
            "RDV_SERVE_KEY": files.key,
        }
        configuration = Configuration({}, environ)
        self.assertEqual(warnings(configuration), [])
        os.chmod(files.key, 0o604)
        self.assertEqual(len(warnings(configuration)), 1)
        self.assertEqual(warnings(Configuration({}, {})), [])

    def test_no_plain_port(self) -> None:
        """Beside TLS there is one only if somebody has asked for it."""
        self.assertEqual(Configuration({"tls": ("443",)}, {}).settings.listen, ())
        both = Configuration({"tls": ("443",)}, {"RDV_SERVE_LISTEN": "80"})
        self.assertEqual(both.settings.listen, ("80",))

    def test_alone(self) -> None:
        """What makes no sense without another one."""
        said = "observed-port-header: needs observed-header"
        self.assertEqual(self.check(OBSERVED_PORT_HEADER="X-Port"), [said])
        self.assertEqual(self.check(OBSERVED_PORT_HEADER="X-Port", OBSERVED_HEADER="X-Ip"), [])

    def test_what_the_server_finds(self) -> None:
        """It reads what it needs when it is made."""

        def service(reactor: Any, settings: Any) -> None:
            raise RdvError("/keys: Permission denied")

        self.patch(checking, "RendezvousService", service)
        self.assertEqual(self.check(), ["/keys: Permission denied"])


class StartTests(SynchronousTestCase):
    """A server that is started anyway reports the same."""

    def test_twist_rdv(self) -> None:
        import_module("twisted.internet.reactor")
        self.patch(internet, "reactor", MemoryReactorClock())
        for words, said in (
            (
                ["--observed-port-header", "X-Port"],
                "observed-port-header: needs observed-header",
            ),
            (["--config", "/nowhere"], "/nowhere: No such file or directory"),
        ):
            options = Options()
            options.parseOptions(words)
            end = self.assertRaises(SystemExit, makeService, options)
            self.assertEqual(end.code, f"twist rdv: {said}")
