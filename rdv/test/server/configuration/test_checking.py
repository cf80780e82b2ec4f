"""What settings name is looked at before a server starts."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import RdvError
from rdv.server.configuration import checking
from rdv.server.configuration.checking import refusals
from rdv.server.configuration.reading import PREFIX, Configuration
from rdv.tap import Options, makeService
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

    def test_alone(self) -> None:
        """What makes no sense without another one."""
        said = "observed-port-header: only together with observed-header"
        self.assertEqual(self.check(OBSERVED_PORT_HEADER="X-Port"), [said])
        self.assertEqual(self.check(OBSERVED_PORT_HEADER="X-Port", OBSERVED_HEADER="X-Ip"), [])

    def test_what_the_server_finds(self) -> None:
        """It reads what it needs when it is made."""

        def service(reactor: Any, settings: Any) -> None:
            raise RdvError("/keys: Permission denied")

        self.patch(checking, "RendezvousService", service)
        self.assertEqual(self.check(), ["/keys: Permission denied"])


class StartTests(SynchronousTestCase):
    """A server that is started all the same says the same."""

    def test_twist_rdv(self) -> None:
        import_module("twisted.internet.reactor")
        self.patch(internet, "reactor", MemoryReactorClock())
        for words, said in (
            (
                ["--observed-port-header", "X-Port"],
                "observed-port-header: only together with observed-header",
            ),
            (["--config", "/nowhere"], "/nowhere: No such file or directory"),
        ):
            options = Options()
            options.parseOptions(words)
            end = self.assertRaises(SystemExit, makeService, options)
            self.assertEqual(end.code, f"twist rdv: {said}")
