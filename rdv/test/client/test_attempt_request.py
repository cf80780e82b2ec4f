"""
What an attempt asks of the server, and what it makes of a good answer.
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

    def ask(self, role: str = "dial", **options: Any) -> bytes:
        """The bytes of a request with ``options`` for treq."""
        client = self.client()
        self.attempt = getattr(client, role)(URL, TOKEN, timeout=None, **options)
        self.server = self.reactor.connected()
        sent: bytes = self.server.value()
        return sent

    def self_addresses(self, *addresses: str, **options: Any) -> bytes | None:
        """What is reported when these are a client's own."""
        own = [parse_address(address) for address in addresses]
        self.dial(self_addresses=lambda port: own, **options)
        lines = self.server.value().split(b"\r\n")
        found = [line for line in lines if line.startswith(b"Rdv-Self-Addrs: ")]
        return found[0].partition(b": ")[2] if found else None

    def test_dial(self) -> None:
        lines = self.ask().split(b"\r\n")
        self.assertEqual(lines[0], b"DIAL /rdv HTTP/1.1")
        for line in (
            b"Host: 192.0.2.80:8080",
            b"Connection: upgrade",
            b"Upgrade: rdv/1",
            b"Rdv-Token: token",
            b"Rdv-Self-Addrs: 198.51.100.1:40000",
        ):
            self.assertEqual(lines.count(line), 1, line)
        self.assertEqual(lines[-2:], [b"", b""])

    def test_accept(self) -> None:
        self.assertTrue(self.ask("accept").startswith(b"ACCEPT /rdv HTTP/1.1\r\n"))

    def test_token_is_utf8(self) -> None:
        self.attempt = self.client().dial(URL, "tök en", timeout=None)
        self.assertIn(b"\r\nRdv-Token: t\xc3\xb6k en\r\n", self.reactor.connected().value())

    def assert_path(self, path: str, expected: bytes) -> None:
        """What a path becomes in the request line, whatever the host is."""
        for host in ("192.0.2.80", "[2001:db8::80]", "one.example"):
            self.reactor = ClientReactor({"one.example": ["192.0.2.1"]})
            self.attempt = self.client().dial(f"http://{host}{path}", TOKEN, timeout=None)
            self.assertNoResult(self.attempt)
            lines = self.reactor.connected().value().split(b"\r\n")
            self.assertEqual(lines[:2], [b"DIAL %b HTTP/1.1" % expected, f"Host: {host}".encode()])
            self.assertNotIn(b"X-Header: y", lines)
            self._end(self.reactor)

    def test_path(self) -> None:
        self.assert_path("/a/b?c=d", b"/a/b?c=d")
        self.assert_path("", b"/")

    def test_path_in_another_script(self) -> None:
        self.assert_path("/ü", b"/%C3%BC")

    def test_line_break_in_the_url(self) -> None:
        self.assert_path("/\r\nX-Header: y", b"/%0D%0AX-Header:%20y")

    def test_port_is_told_to_self_addresses(self) -> None:
        self.dial(self_addresses=lambda port: [Address(parse_ip("192.0.2.9"), port + 1)])
        self.assertIn(b"Rdv-Self-Addrs: 192.0.2.9:40001\r\n", self.server.value())

    def test_self_addresses_in_the_spaces(self) -> None:
        reported = self.self_addresses(
            "127.0.0.1:1",
            "192.168.1.16:2",
            "[fe80::1]:3",
            "[2001:db8::7]:4",
            "203.0.113.5:5",
            spaces=AddressSpace.DEFAULT,
        )
        self.assertEqual(reported, b"192.168.1.16:2, [2001:db8::7]:4, 203.0.113.5:5")

    def test_no_more_than_nine(self) -> None:
        own = [f"198.51.100.{n}:4000" for n in range(20)]
        reported = self.self_addresses(*own)
        self.assertEqual(reported, ", ".join(own[:9]).encode())

    def test_those_outside_the_spaces_take_no_room(self) -> None:
        own = [f"198.51.100.{n}:4000" for n in range(9)]
        reported = self.self_addresses(*["127.0.0.1:1"] * 5, *own, spaces=AddressSpace.PUBLIC4)
        self.assertEqual(reported, ", ".join(own).encode())

    def test_each_once(self) -> None:
        reported = self.self_addresses(*["198.51.100.1:4000"] * 20, "198.51.100.2:4000")
        self.assertEqual(reported, b"198.51.100.1:4000, 198.51.100.2:4000")

    def test_no_spaces(self) -> None:
        self.assertIsNone(self.self_addresses(OWN, spaces=AddressSpace.NONE))

    def test_headers_object(self) -> None:
        headers = Headers({"X-Twice": ["1", "2"], "Rdv-Token": ["mine"]})
        before = list(headers.getAllRawHeaders())
        lines = self.ask(headers=headers).split(b"\r\n")
        for line in (b"X-Twice: 1", b"X-Twice: 2", b"Rdv-Token: token"):
            self.assertIn(line, lines)
        self.assertNotIn(b"Rdv-Token: mine", lines)
        self.assertEqual(list(headers.getAllRawHeaders()), before)

    def test_headers_mapping(self) -> None:
        headers = {"X-One": "1", "X-Twice": ["1", "2"]}
        lines = self.ask(headers=headers).split(b"\r\n")
        for line in (b"X-One: 1", b"X-Twice: 1", b"X-Twice: 2"):
            self.assertIn(line, lines)
        self.assertEqual(headers, {"X-One": "1", "X-Twice": ["1", "2"]})

    def test_auth_cookies_and_params(self) -> None:
        lines = self.ask(auth=("user", "secret"), cookies={"a": "b"}, params={"c": "d"}).split(
            b"\r\n"
        )
        self.assertEqual(lines[0], b"DIAL /rdv?c=d HTTP/1.1")
        self.assertIn(b"Authorization: Basic " + base64.b64encode(b"user:secret"), lines)
        self.assertIn(b"Cookie: a=b", lines)

    def test_nothing_more_before_the_answer(self) -> None:
        for role in ("dial", "accept"):
            sent = self.ask(role)
            self.assertEqual(sent.count(b"\r\n\r\n"), 1)
            self.assertTrue(sent.endswith(b"\r\n\r\n"))
            self._end(self.reactor)


class AnswerTests(AttemptTestCase):
    """What is made of a good answer."""

    def test_headers_and_observed_address(self) -> None:
        self.accept()
        extra = "Rdv-Observed-Addr: 198.51.100.9:777\r\nX-Extra: yes\r\n"
        self.server.deliver(answer(extra=extra) + CONFIRM)
        connection = self.successResultOf(self.attempt)
        self.assertEqual(connection.observed_address, parse_address("198.51.100.9:777"))
        self.assertEqual(connection.headers.getRawHeaders("x-extra"), ["yes"])

    def test_unknown_observed_address(self) -> None:
        self.accept()
        self.server.deliver(answer() + CONFIRM)
        self.assertIsNone(self.successResultOf(self.attempt).observed_address)

    def test_line_in_the_same_segment(self) -> None:
        self.dial(penalty=0)
        self.server.clear()
        self.server.deliver(answer() + HELLO)
        self.assertEqual(self.server.value(), CONFIRM)
        self.assertTrue(self.successResultOf(self.attempt).is_relay)


class DialledTests(AttemptTestCase):
    """Which addresses of the peer are dialled."""

    def test_each(self) -> None:
        self.dial()
        addresses = [PEER, "192.168.7.2:41000", "203.0.113.9:1024", "198.51.100.7:41000"]
        self.answer(*addresses)
        self.assertEqual(self.dialled(), addresses)

    def test_ports_behind_one_that_a_nat_has_changed(self) -> None:
        self.dial()
        self.answer("192.168.7.2:40000", PEER)
        self.assertEqual(self.dialled()[0], PEER)
        self.assertIn("203.0.113.9:41001", self.dialled())

    def test_acceptor_dials_too(self) -> None:
        self.accept()
        self.answer(PEER)
        self.assertEqual(self.dialled(), [PEER])

    def test_nothing_before_the_answer(self) -> None:
        self.dial()
        self.assertEqual(self.dialled(), [])

    def test_each_once(self) -> None:
        self.dial()
        self.answer(PEER, PEER, "[::ffff:203.0.113.9]:41000")
        self.assertEqual(self.dialled(), [PEER])

    def test_not_its_own(self) -> None:
        self.dial()
        self.answer(OWN, "203.0.113.9:40000")
        self.assertEqual(self.dialled(), ["203.0.113.9:40000"])

    def test_no_low_ports(self) -> None:
        self.dial()
        self.answer("203.0.113.9:1023", "203.0.113.9:22", PEER)
        self.assertEqual(self.dialled(), [PEER])

    def test_another_lowest_port(self) -> None:
        self.dial(lowest_port=22)
        self.answer("203.0.113.9:22", "203.0.113.9:21")
        self.assertEqual(self.dialled(), ["203.0.113.9:22"])

    def test_only_the_spaces(self) -> None:
        self.dial(spaces=AddressSpace.PRIVATE4)
        self.answer(PEER, "192.168.7.2:41000", "[2001:db8::7]:41000", "127.0.0.1:41000")
        self.assertEqual(self.dialled(), ["192.168.7.2:41000"])

    def test_nobody_s_address(self) -> None:
        self.dial(spaces=AddressSpace.ALL)
        self.answer("0.0.0.0:41000", "224.0.0.1:41000", "255.255.255.255:41000", "[::]:41000", PEER)
        self.assertEqual(self.dialled(), [PEER])

    def test_no_spaces(self) -> None:
        self.dial(spaces=AddressSpace.NONE)
        self.answer(PEER)
        self.assertEqual(self.dialled(), [])

    def test_time_for_connecting(self) -> None:
        self.dial(handshake_timeout=12)
        self.answer(PEER)
        self.assertEqual(self.reactor.tcpClients[1][3], 12)
