"""Requests and answers, as headers and as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import Address, format_addresses, parse_address
from rdv.errors import BadRequest, ProtocolError
from rdv.test.test_addresses import addresses
from rdv.test.test_token import sendable
from rdv.wire import (
    Answer,
    HeaderLookup,
    Offer,
    Role,
    other_ports,
    parse_answer,
    parse_offer,
    refusal,
    request_headers,
    switching_protocols,
)

HOST = {b"host": [b"example.com"]}
GOOD = {
    **HOST,
    b"connection": [b"upgrade"],
    b"upgrade": [b"rdv/1"],
    b"rdv-token": [b"token"],
    b"rdv-self-addrs": [b"192.168.1.16:39841, [2001:db8::7]:39841"],
}
SWITCH = {b"connection": [b"Upgrade"], b"upgrade": [b"rdv/1"]}


def lookup(headers: dict[bytes, list[bytes]]) -> HeaderLookup:
    """As ``twisted.web`` looks headers up."""
    return lambda name: headers.get(name.lower(), [])


def head_lines(head: bytes) -> tuple[bytes, HeaderLookup]:
    """The first line of a head, and its headers."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    headers: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, value = line.split(b": ", 1) if b": " in line else (line.removesuffix(b":"), b"")
        headers.setdefault(name.lower(), []).append(value)
    return first, lookup(headers)


def several(count: int) -> bytes:
    """That many addresses."""
    return b", ".join(b"192.0.2.%d:1000" % number for number in range(count))


def changed(headers: dict[bytes, list[bytes]], changes: dict[str, list[bytes]]) -> HeaderLookup:
    """Those headers, but for the ones named."""
    named = {name.replace("_", "-").encode(): value for name, value in changes.items()}
    return lookup({**headers, **named})


class OfferTests(SynchronousTestCase):
    """``parse_offer`` and ``request_headers``."""

    def parse(
        self, method: bytes = b"DIAL", version: bytes = b"HTTP/1.1", **changes: list[bytes]
    ) -> Offer:
        """Parse a good request, but for what is named."""
        return parse_offer(method, version, changed(GOOD, changes))

    def refused(self, status: int, why: str, **changes: Any) -> None:
        """Assert that such a request is refused, with a text of that pattern."""
        error: BadRequest = self.assertRaises(BadRequest, self.parse, **changes)
        self.assertEqual(error.status, status)
        self.assertRegex(str(error), why)

    def test_good(self) -> None:
        """Byte for byte what the original compares with."""
        own = "192.168.1.16:39841, [2001:db8::7]:39841"
        for role, other in ((Role.DIALER, Role.ACCEPTOR), (Role.ACCEPTOR, Role.DIALER)):
            offer = self.parse(method=role.value)
            self.assertEqual(offer, Offer(role, b"token", own))
            self.assertNotEqual(offer, Offer(role, b"another", own))
            self.assertIs(role.other, other)
        self.assertEqual(
            request_headers(self.parse()),
            [
                (b"Connection", b"upgrade"),
                (b"Upgrade", b"rdv/1"),
                (b"Rdv-Token", b"token"),
                (b"Rdv-Self-Addrs", b"192.168.1.16:39841, [2001:db8::7]:39841"),
            ],
        )
        self.assertEqual([role.value for role in Role], [b"DIAL", b"ACCEPT"])

    @given(st.sampled_from(Role), sendable, st.lists(addresses, max_size=9))
    def test_round_trip(self, role: Role, token: str, own: list[Address]) -> None:
        offer = Offer(role, token.encode(), format_addresses(own))
        headers = {name.lower(): [value] for name, value in request_headers(offer)}
        self.assertEqual(parse_offer(role.value, b"HTTP/1.1", lookup(HOST | headers)), offer)

    def test_token_is_not_shown(self) -> None:
        """By a traceback, or a careless log line."""
        offer = Offer(Role.DIALER, b"a-secret-token", "192.0.2.1:5")
        for text in (repr(offer), str(offer), f"{offer}", f"{[offer]}"):
            self.assertNotIn("secret", text)
            self.assertIn("DIALER", text)
            self.assertIn("192.0.2.1", text)

    def test_token_lists_in_any_case(self) -> None:
        for connection in (
            [b"keep-alive, Upgrade"],
            [b"UPGRADE"],
            [b"upgrade,keep-alive"],
            [b" , upgrade\t,"],
            [b"keep-alive", b"Upgrade"],
        ):
            self.parse(connection=connection)
        for upgrade in ([b"RDV/1"], [b"websocket, rdv/1"], [b"rdv/1,rdv/2"], [b"h2c", b"rdv/1"]):
            self.parse(upgrade=upgrade)

    def test_no_upgrade(self) -> None:
        for version in (b"HTTP/1.0", b"HTTP/2", b"HTTP/0.9"):
            self.refused(426, "HTTP/1.1", version=version)
        for connection in ([], [b""], [b"keep-alive"], [b"upgraded"], [b"up grade"], [b"close"]):
            self.refused(426, "Connection", connection=connection)
        self.refused(426, "none", upgrade=[])
        for upgrade in ([b"websocket"], [b"rdv/2"], [b"rdv/10"], [b"rdv"], [b"rdv/1 x"]):
            self.refused(426, "another protocol", upgrade=upgrade)

    def test_bad(self) -> None:
        for method in (b"GET", b"POST", b"dial", b"DIALER", b"CONNECT", b""):
            self.refused(400, "method", method=method)
        # RFC 9112, 3.2: exactly one, whatever else is wrong.
        self.refused(400, "^missing Host$", host=[])
        self.refused(400, "^more than one Host$", host=[b"a", b"a"])
        self.refused(400, "^missing Host$", host=[], connection=[])
        self.refused(400, "^missing Rdv-Token$", rdv_token=[])
        self.refused(400, "^more than one Rdv-Token$", rdv_token=[b"a", b"a"])
        self.refused(400, "^the token is empty$", rdv_token=[b""])
        for token in (b"x" * 8193, b"a\x00", b"\xff"):
            self.refused(400, "the token", rdv_token=[token])
        for many in ([several(10)], [several(5), several(5)], [b"x," * 5000]):
            self.refused(400, "more than 9", rdv_self_addrs=many)
        for bad in (b"x", b"1.2.3.4", b"1.2.3.4:1,x", b"[fe80::1%eth0]:1", b"\xff", b"1.2.3.4;1"):
            self.refused(400, "Rdv-Self-Addrs", rdv_self_addrs=[bad])

    def test_as_far_as_it_goes(self) -> None:
        self.parse(host=[b""])  # when the URL has none
        for token in (b"x" * 8192, b"a, b"):
            self.assertEqual(self.parse(rdv_token=[token]).token, token)
        for own, count in (([several(9)], 9), ([], 0), ([b""], 0), ([b" , "], 0)):
            named = self.parse(rdv_self_addrs=own).addresses
            self.assertEqual(len(named.split(", ")) if named else 0, count)

    def test_addresses_in_one_form(self) -> None:
        """However the client writes them; the peer gets them like that."""
        own = [b"[2001:DB8:0::7]:080 ,, [::ffff:192.0.2.1]:1", b"192.0.2.2:00"]
        self.assertEqual(
            self.parse(rdv_self_addrs=own).addresses,
            "[2001:db8::7]:80, 192.0.2.1:1, 192.0.2.2:0",
        )

    @given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.lists(st.binary(max_size=30))))
    def test_arbitrary_headers(self, changes: dict[bytes, list[bytes]]) -> None:
        """BadRequest and nothing else; its text is fit for an HTTP body."""
        try:
            parse_offer(b"DIAL", b"HTTP/1.1", lookup({**GOOD, **changes}))
        except BadRequest as error:
            self.assertIn(error.status, (400, 426))
            self.assertTrue(str(error).encode())


class AnswerTests(SynchronousTestCase):
    """``switching_protocols`` and ``parse_answer``."""

    def parse(self, **changes: list[bytes]) -> Answer:
        return parse_answer(changed(SWITCH, changes))

    def refused(self, **changes: list[bytes]) -> None:
        self.assertRaises(ProtocolError, self.parse, **changes)

    def test_exact_head(self) -> None:
        self.assertEqual(
            switching_protocols("203.0.113.9:39841", "192.168.7.2:40112, 198.51.100.4:40112"),
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Connection: Upgrade\r\n"
            b"Upgrade: rdv/1\r\n"
            b"Rdv-Observed-Addr: 203.0.113.9:39841\r\n"
            b"Rdv-Peer-Addrs: 192.168.7.2:40112, 198.51.100.4:40112\r\n"
            b"\r\n",
        )

    @given(st.none() | addresses, st.lists(addresses, max_size=10))
    def test_round_trip(self, observed: Address | None, peers: Sequence[Address]) -> None:
        head = switching_protocols(str(observed or ""), format_addresses(peers))
        first, headers = head_lines(head)
        self.assertEqual(first, b"HTTP/1.1 101 Switching Protocols")
        self.assertEqual(parse_answer(headers), Answer(observed, peers))

    def test_sparse(self) -> None:
        for none in ({}, {"rdv_observed_addr": [b""], "rdv_peer_addrs": [b""]}):
            self.assertEqual(self.parse(**none), Answer(None, []))
        answer = self.parse(rdv_observed_addr=[b"[::ffff:203.0.113.9]:1"])
        self.assertEqual(str(answer.observed), "203.0.113.9:1")
        self.assertEqual(len(self.parse(rdv_peer_addrs=[several(10)]).peer_addresses), 10)

    def test_refused(self) -> None:
        for connection in ([], [b"close"]):
            self.refused(connection=connection)
        for upgrade in ([], [b"websocket"], [b"rdv/1, rdv/2"]):
            self.refused(upgrade=upgrade)
        self.refused(rdv_peer_addrs=[several(11)])
        self.refused(rdv_observed_addr=[several(2)])

    def test_other_ports(self) -> None:
        """Those that are ports."""
        named = [b"8081,x, 65535", b"0, 65536, 080081, -1,"]
        ports = other_ports(lookup({b"rdv-other-ports": named}))
        self.assertEqual(ports, [8081, 65535])
        self.assertEqual(other_ports(lookup({})), [])

    def test_unreadable_addresses(self) -> None:
        zones = (b"[fe80::1%1]", b"[x%1]:5", b"[192.0.2.1%1]:5", b"fe80::1%1:5", b"[fe80::1%]:5")
        for bad in (b"x", b"1.2.3.4", b"example.com:80", *zones, b"\xff:1"):
            self.refused(rdv_peer_addrs=[bad])
            self.refused(rdv_observed_addr=[bad])

    def test_zone(self) -> None:
        """As old servers pass them on: it costs that one address."""
        for zoned in (b"[fe80::1%eth0]:1", b"[fe80::1%25]:65535"):
            peers = [b"192.0.2.1:5, " + zoned, b"[2001:db8::7]:5"]
            answer = self.parse(rdv_peer_addrs=peers, rdv_observed_addr=[zoned])
            wanted = [parse_address("192.0.2.1:5"), parse_address("[2001:db8::7]:5")]
            self.assertEqual((list(answer.peer_addresses), answer.observed), (wanted, None))
        self.refused(rdv_peer_addrs=[several(10) + b", [fe80::1%eth0]:1"])

    @given(
        st.dictionaries(
            st.sampled_from([*SWITCH, b"rdv-observed-addr", b"rdv-peer-addrs"]),
            st.lists(st.binary(max_size=30)),
        )
    )
    def test_arbitrary_headers(self, changes: dict[bytes, list[bytes]]) -> None:
        try:
            parse_answer(lookup({**SWITCH, **changes}))
        except ProtocolError as error:
            self.assertTrue(str(error).encode())


class RefusalTests(SynchronousTestCase):
    """``refusal``."""

    def test_exact(self) -> None:
        self.assertEqual(
            refusal(408, "no matching peer found"),
            b"HTTP/1.1 408 Request Timeout\r\n"
            b"Connection: close\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: 23\r\n"
            b"\r\n"
            b"no matching peer found\n",
        )
        self.assertTrue(refusal(499, "why").startswith(b"HTTP/1.1 499 Refused\r\n"))
        self.assertIn(b"\r\nRetry-After: 10\r\n", refusal(503, "later"))

    @given(st.text())
    def test_any_reason(self, reason: str) -> None:
        """One line of text, as long as the head says."""
        head, _, body = refusal(403, reason).partition(b"\r\n\r\n")
        self.assertIn(b"Content-Length: %d" % len(body), head.split(b"\r\n"))
        self.assertEqual(body.count(b"\n"), 1)
        self.assertTrue(body.endswith(b"\n"))
        self.assertNotIn(b"\r", body)
        body.decode()
