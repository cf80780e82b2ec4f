"""
The request of an attempt, and what it does with a good answer.
"""

from __future__ import annotations

import base64
from typing import Any

from twisted.web.http_headers import Headers

from rdv.addresses import Address, AddressSpace, parse_address, parse_ip
from rdv.test.client.doubles import (
    CONFIRM,
    HELLO,
    OWN,
    PEER,
    TOKEN,
    URL,
    AttemptTestCase,
    ClientReactor,
    answer,
)


class RequestTests(AttemptTestCase):
    """The request."""

    def ask(self, role: str = "dial", url: str = URL, token: str = TOKEN, **options: Any) -> bytes:
        """The bytes of a request with ``options`` for treq."""
        self.attempt = getattr(self.client(), role)(url, token, timeout=None, **options)
        sent: bytes = self.reactor.connected().value()
        self._end(self.reactor)
        self.assertEqual(sent.count(b"\r\n\r\n"), 1)
        self.assertTrue(sent.endswith(b"\r\n\r\n"))
        return sent

    def self_addresses(self, *addresses: str, **options: Any) -> list[str]:
        """Which of these, when they are a client's own, are reported."""
        own = [parse_address(address) for address in addresses]
        self.setUp()
        self.dial(self_addresses=lambda port: own, **options)
        lines = self.server.value().split(b"\r\n")
        self._end(self.reactor)
        found = [line for line in lines if line.startswith(b"Rdv-Self-Addrs: ")]
        return found[0].partition(b": ")[2].decode().split(", ") if found else []

    def test_lines(self) -> None:
        for role in ("dial", "accept"):
            lines = self.ask(role).split(b"\r\n")
            self.assertEqual(lines[0], b"%b /rdv HTTP/1.1" % role.upper().encode())
            for line in (
                b"Host: 192.0.2.80:8080",
                b"Connection: upgrade",
                b"Upgrade: rdv/1",
                b"Rdv-Token: token",
                b"Rdv-Self-Addrs: 198.51.100.1:40000",
            ):
                self.assertEqual(lines.count(line), 1, line)

    def test_token_is_utf8(self) -> None:
        self.assertIn(b"\r\nRdv-Token: t\xc3\xb6k en\r\n", self.ask(token="tök en"))

    def test_path(self) -> None:
        """What it becomes in the request line, whatever the host is."""
        for path, expected in {
            "/a/b?c=d": b"/a/b?c=d",
            "": b"/",
            "/ü": b"/%C3%BC",
            "/\r\nX-Header: y": b"/%0D%0AX-Header:%20y",
        }.items():
            for host in ("192.0.2.80", "[2001:db8::80]", "one.example"):
                self.reactor = ClientReactor({"one.example": ["192.0.2.1"]})
                lines = self.ask(url=f"http://{host}{path}").split(b"\r\n")
                self.assertEqual(lines[0], b"DIAL %b HTTP/1.1" % expected)
                self.assertEqual(lines[1], f"Host: {host}".encode())
                self.assertNotIn(b"X-Header: y", lines)

    def test_self_addresses(self) -> None:
        """Those in the spaces, each once, no more than nine, and with our port."""
        many = [f"198.51.100.{n}:4000" for n in range(20)]
        several = ["127.0.0.1:1", "192.168.1.16:2", "[fe80::1]:3", "[2001:db8::7]:4", OWN]
        public = AddressSpace.PUBLIC4
        for given, spaces, reported in (
            (several, AddressSpace.DEFAULT, ["192.168.1.16:2", "[2001:db8::7]:4", OWN]),
            (several, AddressSpace.NONE, []),
            (many, AddressSpace.ALL, many[:9]),
            (["127.0.0.1:1"] * 5 + many, public, many[:9]),
            ([OWN] * 20 + many[:1], public, [OWN, *many[:1]]),
        ):
            self.assertEqual(self.self_addresses(*given, spaces=spaces), reported)
        self.setUp()
        self.dial(self_addresses=lambda port: [Address(parse_ip("192.0.2.9"), port + 1)])
        self.assertIn(b"Rdv-Self-Addrs: 192.0.2.9:40001\r\n", self.server.value())

    def test_headers(self) -> None:
        """The caller's, which stay as they are."""
        given = {"X-Twice": ["1", "2"], "Rdv-Token": ["mine"]}
        for headers in (Headers(given), {**given, "X-One": "1"}):
            before = repr(headers)
            lines = self.ask(headers=headers).split(b"\r\n")
            for line in (b"X-Twice: 1", b"X-Twice: 2", b"Rdv-Token: token"):
                self.assertIn(line, lines)
            self.assertEqual(b"X-One: 1" in lines, "X-One" in before)
            self.assertNotIn(b"Rdv-Token: mine", lines)
            self.assertEqual(repr(headers), before)

    def test_auth_cookies_and_params(self) -> None:
        options: dict[str, Any] = {"cookies": {"a": "b"}, "params": {"c": "d"}}
        lines = self.ask(auth=("user", "secret"), **options).split(b"\r\n")
        self.assertEqual(lines[0], b"DIAL /rdv?c=d HTTP/1.1")
        self.assertIn(b"Authorization: Basic " + base64.b64encode(b"user:secret"), lines)
        self.assertIn(b"Cookie: a=b", lines)


class AnswerTests(AttemptTestCase):
    """What is done with a good answer."""

    def test_headers_and_observed_address(self) -> None:
        for observed in ("198.51.100.9:777", None):
            self.setUp()
            self.accept()
            extra = f"Rdv-Observed-Addr: {observed}\r\n" if observed else ""
            self.server.deliver(answer(extra=extra + "X-Extra: yes\r\n") + CONFIRM)
            connection = self.successResultOf(self.attempt)
            expected = parse_address(observed) if observed else None
            self.assertEqual(connection.observed_address, expected)
            self.assertEqual(connection.headers.getRawHeaders("x-extra"), ["yes"])

    def test_line_in_the_same_segment(self) -> None:
        self.dial(penalty=0)
        self.server.clear()
        self.server.deliver(answer() + HELLO)
        self.assertEqual(self.server.value(), CONFIRM)
        self.assertTrue(self.successResultOf(self.attempt).is_relay)

    def test_dialled(self) -> None:
        """Which addresses of the peer; not before the answer, and by both roles."""
        local = "192.168.7.2:41000"
        everywhere = [PEER, local, "203.0.113.9:1024", "198.51.100.7:41000"]
        nobody = ["0.0.0.0:41000", "224.0.0.1:41000", "255.255.255.255:41000", "[::]:41000"]
        for options, named, expected in (
            ({}, everywhere, everywhere),
            ({}, [PEER, PEER, "[::ffff:203.0.113.9]:41000"], [PEER]),
            ({}, [OWN, "203.0.113.9:40000"], ["203.0.113.9:40000"]),
            ({}, ["203.0.113.9:1023", "203.0.113.9:22", PEER], [PEER]),
            ({"lowest_port": 22}, ["203.0.113.9:22", "203.0.113.9:21"], ["203.0.113.9:22"]),
            ({"spaces": AddressSpace.PRIVATE4}, [PEER, local, "127.0.0.1:41000"], [local]),
            ({"spaces": AddressSpace.NONE}, [PEER], []),
            ({}, [*nobody, PEER], [PEER]),
        ):
            for begin in (self.dial, self.accept):
                self.setUp()
                begin(handshake_timeout=12, **options)
                self.assertEqual(self.dialled(), [])
                self.answer(*named)
                self.assertEqual(self.dialled(), expected)
                self.assertEqual({each[3] for each in self.reactor.tcpClients[1:]} - {12}, set())
                self._end(self.reactor)

    def test_ports_behind_one_that_a_nat_has_changed(self) -> None:
        self.dial()
        self.answer("192.168.7.2:40000", PEER)
        self.assertEqual(self.dialled()[0], PEER)
        self.assertIn("203.0.113.9:41001", self.dialled())
