"""URLs of servers: what is one, and what becomes of its host."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rdv import Secret
from rdv.client.parsing import parse_server_url
from rdv.errors import BadURL
from rdv.test.client.doubles import AttemptTestCase, ClientReactor


class HostTests(SynchronousTestCase):
    """``parse_server_url``."""

    def assert_host(self, host: str, wanted: str) -> None:
        """What it becomes in a URI, for both schemes."""
        for scheme in ("http", "https"):
            url = parse_server_url(f"{scheme}://{host}/rdv").to_uri()
            self.assertEqual(url.to_text(), f"{scheme}://{wanted}/rdv")

    def test_underscore(self) -> None:
        """IDNA has none, but names in private networks do."""
        for host in ("my_server", "my_server.example", "_rdv._tcp.example:8080", "a_.example"):
            self.assert_host(host, host)

    def test_case(self) -> None:
        self.assert_host("SERVER.Example:8080", "server.example:8080")
        self.assert_host("My_Server", "my_server")
        self.assert_host("B\xdcCHER.Example", "xn--bcher-kva.example")
        self.assert_host("[2001:DB8::7]", "[2001:db8::7]")
        url = parse_server_url("HTTPS://Server.Example/Path?Query=A")
        self.assertEqual(url.to_uri().to_text(), "https://server.example/Path?Query=A")

    def test_secret(self) -> None:
        """It is not shown."""
        text = Secret.generate().reveal()
        error = self.assertRaises(BadURL, parse_server_url, text)
        self.assertNotIn(text[6:], str(error))

    def test_labels(self) -> None:
        longest = "x" * 63
        for host in (
            longest,
            f"{longest}.{longest}.example",
            "a.example.",
            "xn--bcher-kva.example",
        ):
            self.assert_host(host, host)

    def test_bad_labels(self) -> None:
        long = "x" * 64
        for host in (
            long,
            f"a.{long}.example",
            "a..example",
            ".example",
            "a..",
            ".",
            f"\xfc.{long}",
            "\xfc..example",
            "\xfc" * 64,
        ):
            for scheme in ("http", "HTTPS"):
                text = f"{scheme}://{host}/rdv"
                error = self.assertRaises(BadURL, parse_server_url, text)
                self.assertNotIn("\n", str(error))

    def test_no_host_at_all(self) -> None:
        for host in ("a b", "a,b", "a*b", "a%b", "a%2eb", "a'b", "a;b", "a\\b"):
            self.assertRaises(BadURL, parse_server_url, f"http://{host}/rdv")


class RequestTests(AttemptTestCase):
    """A request to such a host goes out."""

    def test_underscore(self) -> None:
        self.reactor = ClientReactor({"my_server.example": ["192.0.2.7"]})
        self.attempt = self.client().dial("http://My_Server.example/", "token")
        self.assertEqual(self.reactor.tcpClients[0][:2], ("192.0.2.7", 80))
        lines = self.reactor.connected().value().split(b"\r\n")
        self.assertIn(b"Host: my_server.example", lines)
        self._end(self.reactor)

    def test_underscore_with_tls(self) -> None:
        """
        It is connected to as well, or refused as what it is: not blamed on an answer of a server
        that nobody has asked.
        """
        self.reactor = ClientReactor({"my_server.example": ["192.0.2.7"]})
        self.attempt = self.client().dial("https://my_server.example/", "token")
        if not self.reactor.tcpClients:
            self.failureResultOf(self.attempt, BadURL)
            return
        self.assertEqual(self.reactor.tcpClients[0][:2], ("192.0.2.7", 443))
        transport = self.reactor.connected()
        self.reactor.advance(0)
        self.assertEqual(transport.value()[:2], b"\x16\x03")
        self._end(self.reactor)
