"""
URLs of servers: which are valid, and what happens to their hosts. And URLs of proxies.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rdv import Secret
from rdv.client.http.proxy import Proxy
from rdv.client.parsing import parse_proxy, parse_server_url
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
            "[:\udcff]",
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


class ProxyTests(SynchronousTestCase):
    """``parse_proxy``."""

    def test_places(self) -> None:
        for text, host, port, shown in (
            ("http://proxy.example:3128", "proxy.example", 3128, "http://proxy.example:3128"),
            ("HTTP://Proxy.Example:3128/", "proxy.example", 3128, "http://proxy.example:3128"),
            ("proxy:3128", "proxy", 3128, "http://proxy:3128"),
            ("proxy", "proxy", 80, "http://proxy:80"),
            ("http://[2001:db8::1]:3128", "2001:db8::1", 3128, "http://[2001:db8::1]:3128"),
            ("http://@192.0.2.1:1", "192.0.2.1", 1, "http://192.0.2.1:1"),
        ):
            proxy = parse_proxy(text)
            self.assertEqual(proxy, Proxy(host, port))
            self.assertEqual(str(proxy), shown)

    def test_credentials(self) -> None:
        """What they are stands in no text."""
        for user_info, expected in (
            ("Aladdin:open%20sesame", b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("Aladdin:open sesame", b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("x:p%40%3A%2f", b"Basic eDpwQDov"),
            ("x:p@:/", b"Basic eDpwQDov"),  # as people write it nevertheless
            ("x", b"Basic eDo="),
            ("x:", b"Basic eDo="),
            ("%C3%BC:y", b"Basic w7w6eQ=="),
            ("\xfc:y", b"Basic w7w6eQ=="),
        ):
            for scheme in ("http://", ""):
                proxy = parse_proxy(f"{scheme}{user_info}@proxy:3128")
                self.assertEqual(proxy.authorization, expected)
                self.assertEqual(str(proxy), "http://proxy:3128")
                self.assertEqual(repr(proxy), "Proxy(host='proxy', port=3128)")

    def test_none(self) -> None:
        """The error repeats nothing of it."""
        for text in (
            "",
            "http://",
            "http://user:password@",
            "user:password",
            "ftp://user:password@proxy:21",
            "http://user:password@proxy:3128/password",
            "http://user:password@proxy:3128?password",
            "http://user:password@proxy:password",
            "http://user:password@proxy:65536",
            "http://user:password@a b:3128",
            Secret.generate().reveal(),
        ):
            error = self.assertRaises(ValueError, parse_proxy, text)
            self.assertEqual(str(error), "proxy: not http://[USER:PASSWORD@]HOST:PORT")
        for scheme in ("https", "socks5", "socks5h", "SOCKS4"):
            text = f"{scheme}://user:password@proxy:1080"
            error = self.assertRaises(ValueError, parse_proxy, text)
            text = f"proxy: only http:// proxies are supported, not {scheme.lower()}://"
            self.assertEqual(str(error), text)
        self.assertRaises(TypeError, parse_proxy, b"http://proxy:3128")
