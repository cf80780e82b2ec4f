"""
Places on a command line.
"""

from __future__ import annotations

from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.secret import Secret
from rdv.forwarding.places import BadPlace, HostPlace, UnixPlace, parse_place
from rdv.test.client.doubles import ClientReactor
from rdv.test.doubles import Wire


class PlacesTests(SynchronousTestCase):
    """What is one, and what is not."""

    def test_places(self) -> None:
        for text, place in (
            ("80", HostPlace("127.0.0.1", 80)),
            ("example.com:80", HostPlace("example.com", 80)),
            ("192.0.2.1:65535", HostPlace("192.0.2.1", 65535)),
            ("my_db:80", HostPlace("my_db", 80)),
            ("b\xfccher.example:80", HostPlace("b\xfccher.example", 80)),
            ("[::1]:80", HostPlace("::1", 80)),
            ("unix:/run/x", UnixPlace("/run/x")),
            ("unix:80", UnixPlace("80")),
            ("unix:a:80", UnixPlace("a:80")),
        ):
            self.assertEqual(parse_place(text), place)

    def test_as_text(self) -> None:
        """It is one again."""
        for text in ("example.com:80", "[::1]:80", "unix:/run/x"):
            self.assertEqual(str(parse_place(text)), text)

    def test_no_places(self) -> None:
        for text in (
            *("", "host", "host:", ":80", "host:x", "host:-1", "host:65536", "::1:80", "unix:"),
            *(
                "[::1]",
                "[x]:80",
                "[]:80",
                "host:\uff18",
                "unix:a\0b",
                "http://host:80",
                "host:80/x",
                "a..b:80",
                f"{'a' * 64}.example:80",
                "\N{SNOWMAN}:80",
            ),
        ):
            self.assertRaises(BadPlace, parse_place, text)

    def test_a_secret_is_not_shown(self) -> None:
        """It takes the place of a target that was left out."""
        secret = Secret.generate().reveal()
        for text in (secret, f"{secret}@token", secret[:-1]):
            error = self.assertRaises(BadPlace, parse_place, text)
            self.assertEqual(str(error), "a secret instead of PORT, HOST:PORT or unix:PATH")

    def test_any_port(self) -> None:
        """Only where it makes sense."""
        self.assertRaises(BadPlace, parse_place, "0")
        self.assertEqual(parse_place("0", any_port=True), HostPlace("127.0.0.1", 0))

    def test_connecting(self) -> None:
        """A name is one that the resolver takes."""
        for text, host in (
            ("my_db:80", "my_db"),
            ("b\xfccher.example:80", "xn--bcher-kva.example"),
        ):
            reactor = ClientReactor({host: ["192.0.2.1"]})
            connecting = parse_place(text).endpoint(reactor).connect(Factory.forProtocol(Wire))
            self.assertEqual(reactor.tcpClients[0][:2], ("192.0.2.1", 80))
            reactor.connected()
            self.successResultOf(connecting)

    def test_listening(self) -> None:
        """On the very address, and never on a name that may mean another one."""
        reactor = MemoryReactorClock()
        factory: Factory = Factory()
        for text, interface in (
            ("80", "127.0.0.1"),
            ("localhost:80", "127.0.0.1"),
            ("[::1]:80", "::1"),
            ("0.0.0.0:80", "0.0.0.0"),
        ):
            parse_place(text).listen(reactor, factory)
            self.assertEqual(reactor.tcpServers.pop()[3], interface)
        self.assertRaises(BadPlace, parse_place("example.com:80").listen, reactor, factory)
        self.assertEqual(reactor.tcpServers, [])
