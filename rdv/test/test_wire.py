"""Requests and answers, as headers and as bytes."""

from __future__ import annotations

from collections.abc import Sequence

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


class RoleTests(SynchronousTestCase):
    """``Role``."""

    def test_other(self) -> None:
        self.assertIs(Role.DIALER.other, Role.ACCEPTOR)
        self.assertIs(Role.ACCEPTOR.other, Role.DIALER)


class OfferTests(SynchronousTestCase):
    """``parse_offer`` and ``request_headers``."""

    def parse(self, **changes: list[bytes]) -> Offer:
        """Parse a good request, but for the headers named."""
        changed = {name.replace("_", "-").encode(): value for name, value in changes.items()}
        return parse_offer(b"DIAL", b"HTTP/1.1", lookup({**GOOD, **changed}))

    def refused(self, status: int, **changes: list[bytes]) -> str:
        """Assert that such a request is refused; why."""
        error: BadRequest = self.assertRaises(BadRequest, self.parse, **changes)
        self.assertEqual(error.status, status)
        return str(error)

    def test_good(self) -> None:
        wanted = (parse_address("192.168.1.16:39841"), parse_address("[2001:db8::7]:39841"))
        for method, role in ((b"DIAL", Role.DIALER), (b"ACCEPT", Role.ACCEPTOR)):
            offer = parse_offer(method, b"HTTP/1.1", lookup(GOOD))
            self.assertEqual((offer.role, offer.token), (role, b"token"))
            self.assertEqual(tuple(offer.self_addresses), wanted)

    def test_exact_headers(self) -> None:
        """What the original compares with, byte for byte."""
        offer = self.parse()
        self.assertEqual(
            request_headers(offer),
            [
                (b"Connection", b"upgrade"),
                (b"Upgrade", b"rdv/1"),
                (b"Rdv-Token", b"token"),
                (b"Rdv-Self-Addrs", b"192.168.1.16:39841, [2001:db8::7]:39841"),
            ],
        )

    @given(st.sampled_from(Role), sendable, st.lists(addresses, max_size=9))
    def test_round_trip(self, role: Role, token: str, own: list[Address]) -> None:
        offer = Offer(role, token.encode(), own)
        headers = {name.lower(): [value] for name, value in request_headers(offer)}
        self.assertEqual(parse_offer(role.value, b"HTTP/1.1", lookup(HOST | headers)), offer)

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
        for connection in ([], [b""], [b"keep-alive"], [b"upgraded"], [b"up grade"], [b"close"]):
            self.assertIn("Connection", self.refused(426, connection=connection))
        self.assertIn("none", self.refused(426, upgrade=[]))
        for upgrade in ([b"websocket"], [b"rdv/2"], [b"rdv/10"], [b"rdv"], [b"rdv/1 x"]):
            self.assertIn("another protocol", self.refused(426, upgrade=upgrade))

    def test_version(self) -> None:
        for version in (b"HTTP/1.0", b"HTTP/2", b"HTTP/0.9"):
            error = self.assertRaises(BadRequest, parse_offer, b"DIAL", version, lookup(GOOD))
            self.assertEqual(error.status, 426)

    def test_host(self) -> None:
        """RFC 9112, 3.2: exactly one, or 400, whatever else is wrong."""
        self.assertEqual(self.refused(400, host=[]), "missing Host")
        self.assertEqual(self.refused(400, host=[b"a", b"a"]), "more than one Host")
        self.refused(400, host=[], connection=[])
        self.parse(host=[b""])  # when the URL has none

    def test_method(self) -> None:
        for method in (b"GET", b"POST", b"dial", b"DIALER", b"CONNECT", b""):
            error = self.assertRaises(BadRequest, parse_offer, method, b"HTTP/1.1", lookup(GOOD))
            self.assertEqual(error.status, 400)
            self.assertIn("method", str(error))

    def test_token(self) -> None:
        self.assertEqual(self.refused(400, rdv_token=[]), "missing Rdv-Token")
        self.assertEqual(self.refused(400, rdv_token=[b"a", b"a"]), "more than one Rdv-Token")
        self.assertEqual(self.refused(400, rdv_token=[b""]), "the token is empty")
        self.refused(400, rdv_token=[b"x" * 8193])
        self.refused(400, rdv_token=[b"a\x00"])
        self.refused(400, rdv_token=[b"\xff"])
        self.assertEqual(self.parse(rdv_token=[b"x" * 8192]).token, b"x" * 8192)
        self.assertEqual(self.parse(rdv_token=[b"a, b"]).token, b"a, b")

    def test_address_count(self) -> None:
        self.assertEqual(len(self.parse(rdv_self_addrs=[several(9)]).self_addresses), 9)
        self.assertIn("more than 9", self.refused(400, rdv_self_addrs=[several(10)]))
        self.assertIn("more than 9", self.refused(400, rdv_self_addrs=[several(5), several(5)]))
        self.assertIn("more than 9", self.refused(400, rdv_self_addrs=[b"x," * 5000]))

    def test_no_addresses(self) -> None:
        for none in ([], [b""], [b" , "]):
            self.assertEqual(list(self.parse(rdv_self_addrs=none).self_addresses), [])

    def test_unreadable_addresses(self) -> None:
        for bad in (b"x", b"1.2.3.4", b"1.2.3.4:1,x", b"[fe80::1%eth0]:1", b"\xff", b"1.2.3.4;1"):
            self.assertIn("Rdv-Self-Addrs", self.refused(400, rdv_self_addrs=[bad]))

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
        changed = {name.replace("_", "-").encode(): value for name, value in changes.items()}
        return parse_answer(lookup({**SWITCH, **changed}))

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

    def test_observed_unknown(self) -> None:
        self.assertNotIn(b"Observed", switching_protocols("", "1.2.3.4:5"))

    @given(st.none() | addresses, st.lists(addresses, max_size=10))
    def test_round_trip(self, observed: Address | None, peers: Sequence[Address]) -> None:
        head = switching_protocols(str(observed or ""), format_addresses(peers))
        first, headers = head_lines(head)
        self.assertEqual(first, b"HTTP/1.1 101 Switching Protocols")
        self.assertEqual(parse_answer(headers), Answer(observed, peers))

    def test_minimal(self) -> None:
        self.assertEqual(self.parse(), Answer(None, []))
        self.assertEqual(
            self.parse(rdv_observed_addr=[b""], rdv_peer_addrs=[b""]), Answer(None, [])
        )

    def test_mapped(self) -> None:
        answer = self.parse(rdv_observed_addr=[b"[::ffff:203.0.113.9]:1"])
        self.assertEqual(str(answer.observed), "203.0.113.9:1")

    def test_not_switched(self) -> None:
        self.refused(connection=[])
        self.refused(connection=[b"close"])
        self.refused(upgrade=[])
        self.refused(upgrade=[b"websocket"])
        self.refused(upgrade=[b"rdv/1, rdv/2"])

    def test_address_count(self) -> None:
        self.assertEqual(len(self.parse(rdv_peer_addrs=[several(10)]).peer_addresses), 10)
        self.refused(rdv_peer_addrs=[several(11)])
        self.refused(rdv_observed_addr=[several(2)])

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

    def test_unknown_status(self) -> None:
        self.assertTrue(refusal(499, "why").startswith(b"HTTP/1.1 499 Refused\r\n"))

    @given(st.text())
    def test_any_reason(self, reason: str) -> None:
        """One line of text, as long as the head says."""
        head, _, body = refusal(403, reason).partition(b"\r\n\r\n")
        self.assertIn(b"Content-Length: %d" % len(body), head.split(b"\r\n"))
        self.assertEqual(body.count(b"\n"), 1)
        self.assertTrue(body.endswith(b"\n"))
        self.assertNotIn(b"\r", body)
        body.decode()
