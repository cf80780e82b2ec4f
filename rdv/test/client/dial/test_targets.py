"""
Where to dial.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import AddressSpace, is_local, parse_address, space_of
from rdv.client.dial.targets import (
    OFTEN,
    SELDOM,
    Target,
    behind_proxy,
    ports_change,
    same_site,
    targets,
)
from rdv.wire import Answer

PORT = 40000
OWN = "192.168.1.2:40000"
#: The peer as the server sees it, behind a NAT that has kept its port, and one that has not.
KEPT, CHANGED = "203.0.113.9:41000", "203.0.113.9:6001"
NAMED = ["192.168.7.2:41000", "10.0.0.2:41000"]
LOCAL = ("192.168.7.1:6001", "127.0.0.1:6001", "[fd00::1]:6001", "[fe80::1]:6001")
BEHIND = [f"203.0.113.9:{port}" for port in (6002, 6003, 6004, 6005)]


def answer(*peers: str, observed: str | None = "198.51.100.1:40000") -> Answer:
    """What the server says."""
    seen = None if observed is None else parse_address(observed)
    return Answer(seen, [parse_address(peer) for peer in peers])


def dialled(
    said: Answer,
    *,
    own: tuple[str, ...] = (OWN,),
    spaces: AddressSpace = AddressSpace.ALL,
    lowest_port: int = 1024,
) -> list[str]:
    """What is dialled then, in order; with a ``?`` behind those that are guessed."""
    ours = [parse_address(address) for address in own]
    found = targets(said, ours, PORT, spaces, lowest_port)
    return [f"{target.address}{'?' * target.guessed}" for target in found]


def guesses(addresses: list[str]) -> list[str]:
    """As :func:`dialled` has them."""
    return [f"{address}?" for address in addresses]


class TargetsTests(SynchronousTestCase):
    """Where to dial, and in which order."""

    def test_as_told(self) -> None:
        """By a peer whose NAT keeps its port: each once, but not our own."""
        peers = [*NAMED, KEPT]
        for named, own, expected in (
            ([], (OWN,), []),
            (peers, (OWN,), peers),
            (peers[::-1], (OWN,), peers[::-1]),
            ([KEPT, *NAMED, KEPT], (OWN,), [KEPT, *NAMED]),
            ([*NAMED, OWN, KEPT], (OWN,), peers),
            ([*NAMED, OWN, KEPT], (), [*NAMED, OWN, KEPT]),
        ):
            self.assertEqual(dialled(answer(*named), own=own), expected)

    def test_spaces(self) -> None:
        peers = [*NAMED, "[2001:db8::7]:41000", "127.0.0.1:41000", "[fe80::1]:41000", KEPT]
        for space in (*AddressSpace, AddressSpace.NONE):
            expected = [each for each in peers if space_of(parse_address(each).ip) & space]
            self.assertEqual(dialled(answer(*peers), spaces=space), expected)

    def test_lowest_port(self) -> None:
        peers = [f"192.168.7.{port % 250}:{port}" for port in (22, 1023, 1024, 65535)]
        self.assertEqual(dialled(answer(*peers)), peers[2:])
        self.assertEqual(dialled(answer(*peers), lowest_port=22), peers)
        self.assertEqual(dialled(answer(*peers), lowest_port=23), peers[1:])

    # If a NAT changes the port, the next connection gets the next port.

    def test_predicted(self) -> None:
        """
        The server knows one port of the peer's that is open already: first that, then those behind
        it. If every dial of ours opens another port too, order matters: not the one in use.
        """
        seen_first = [CHANGED, *guesses(BEHIND), *NAMED]
        for observed, own, expected in (
            ("198.51.100.1:40000", (OWN,), seen_first),
            ("198.51.100.1:7001", (OWN,), [*guesses(BEHIND), CHANGED, *NAMED]),
            (None, (OWN,), seen_first),
            ("198.51.100.1:40000", (), seen_first),  # observed without a change
            ("198.51.100.1:7001", ("198.51.100.1:7001", OWN), seen_first),  # mapped by hand
            # Behind the same NAT, the next port may be ours.
            ("198.51.100.1:40000", (OWN, BEHIND[1]), [e for e in seen_first if "6003" not in e]),
        ):
            said = answer(*NAMED, CHANGED, observed=observed)
            self.assertEqual(dialled(said, own=own), expected)

    def test_not_predicted(self) -> None:
        """When nothing is known of the peer's NAT that would help."""
        for peers in (
            [*NAMED, KEPT],
            [CHANGED],  # it has reported nothing
            ["192.168.7.2:41000", "203.0.113.9:5000", CHANGED],  # one of them is mapped by hand
            *([*NAMED, seen] for seen in LOCAL),  # the server is within its network, or a proxy
        ):
            for observed in ("198.51.100.1:40000", "198.51.100.1:7001"):
                self.assertEqual(dialled(answer(*peers, observed=observed)), peers)

    def test_proxied(self) -> None:
        """
        What the server observes is our proxy: that its port is another one says nothing of our NAT.
        And where the peer comes from there too, that is no address of the peer's.
        """
        seen_first = [CHANGED, *guesses(BEHIND), *NAMED]
        at_proxy = [*NAMED, "203.0.113.9:41000", CHANGED]
        for observed, peers, expected in (
            ("198.51.100.1:7001", [*NAMED, CHANGED], seen_first),
            ("203.0.113.9:7001", [*NAMED, CHANGED], NAMED),
            ("203.0.113.9:7001", at_proxy, at_proxy[:-1]),  # the peer is the proxy's host
            (None, [*NAMED, CHANGED], seen_first),
            ("203.0.113.9:7001", [], []),
        ):
            said = behind_proxy(answer(*peers, observed=observed))
            self.assertEqual(dialled(said), expected)
            self.assertFalse(same_site(said))
            self.assertEqual(ports_change(said, [], PORT), "?" in "".join(expected))

    def test_predicted_ipv6(self) -> None:
        found = dialled(answer("[fd00::7]:41000", "[2001:db8::7]:6001"))
        behind = [f"[2001:db8::7]:{port}?" for port in (6002, 6003, 6004, 6005)]
        self.assertEqual(found, ["[2001:db8::7]:6001", *behind, "[fd00::7]:41000"])

    def test_last_port(self) -> None:
        for first in (65533, 65535):
            seen, *behind = [f"203.0.113.9:{port}" for port in range(first, 65536)]
            self.assertEqual(dialled(answer(*NAMED, seen)), [seen, *guesses(behind), *NAMED])

    def test_what_is_named_is_not_guessed(self) -> None:
        self.assertEqual(
            dialled(answer(BEHIND[1], CHANGED)),
            [CHANGED, *guesses([BEHIND[0], *BEHIND[2:]]), BEHIND[1]],
        )

    def test_observed_address_is_not_wanted(self) -> None:
        """Then those behind it are not either."""
        for options in ({"spaces": AddressSpace.PRIVATE4}, {"lowest_port": 6002}):
            self.assertEqual(dialled(answer(*NAMED, CHANGED), **options), NAMED)
        self.assertEqual(dialled(answer(*NAMED, CHANGED), own=(CHANGED,)), NAMED)

    @given(
        st.lists(st.integers(0, 0xFFFF), max_size=10),
        st.booleans(),
        st.integers(0, 0xFFFF),
        st.lists(st.integers(0, 0xFFFF), max_size=3),
    )
    def test_bounds(self, ports: list[int], steps: bool, observed: int, own: list[int]) -> None:
        """Whatever is named: nothing twice, nothing unwanted, nothing left out, few guesses."""
        ours = [parse_address(f"203.0.113.9:{port}") for port in own]
        peers = [f"203.0.113.9:{port}" for port in ports]
        if steps:
            peers = [*(f"203.0.113.9:{port}" for port in ports[:1] * 3), CHANGED]
        said = answer(*peers, observed=f"198.51.100.1:{observed}")
        found = targets(said, ours, PORT, AddressSpace.ALL, 1024)
        told = {each for each in said.peer_addresses if each.port >= 1024 and each not in ours}
        self.assertEqual({each.address for each in found if not each.guessed}, told)
        guessed = [each.address for each in found if each.guessed]
        self.assertLessEqual(len(guessed), 4)
        self.assertLessEqual(max((each.port for each in guessed), default=0), 0xFFFF)
        self.assertEqual(len({each.address for each in found}), len(found))
        self.assertTrue({each.address for each in found}.isdisjoint(ours))


class SiteTests(SynchronousTestCase):
    """Where the peer is."""

    def test_same_site(self) -> None:
        for peers, observed, same in (
            ([*NAMED, KEPT], "203.0.113.9:40000", True),
            ([*NAMED, CHANGED], "203.0.113.9:40000", True),
            ([*NAMED, KEPT], "198.51.100.1:40000", False),
            ([], "198.51.100.1:40000", False),
            ([*NAMED, KEPT], None, False),
        ):
            self.assertEqual(same_site(answer(*peers, observed=observed)), same)

    def test_local(self) -> None:
        for address in ("10.0.0.1:1", "169.254.1.1:1", "[::1]:1", *LOCAL):
            self.assertTrue(is_local(parse_address(address)), address)
        for address in ("203.0.113.9:1", "[2001:db8::7]:1", "100.64.0.1:1"):
            self.assertFalse(is_local(parse_address(address)), address)


class KnownTests(SynchronousTestCase):
    """Where the peer is known to be, and what it only claims."""

    V6, NEAR, OURS = "[2001:db8:b::7]:41000", "[2001:db8:a::99]:41000", "[2001:db8:a::1]:40000"

    def graded(
        self, *peers: str, observed: str | None = "198.51.100.1:40000"
    ) -> dict[str, tuple[int, bool, bool]]:
        """Redials, whether it is claimed, and whether it is foreign."""
        own = [parse_address(each) for each in (OWN, self.OURS)]
        said = answer(*peers, observed=observed)
        found = targets(said, own, PORT, AddressSpace.ALL, 1024)
        return {str(each.address): (each.redials, each.claimed, each.foreign) for each in found}

    KNOWN = (OFTEN, False, False)
    CLAIMED, FOREIGN = (SELDOM, True, False), (SELDOM, True, True)
    #: IPv6 addresses, which the server cannot observe if it is reached over IPv4.
    UNSEEN = (OFTEN, True, False)

    def test_elsewhere(self) -> None:
        """The very address that the server has observed is known; of IPv6, the first one may be."""
        other, later = "203.0.113.9:5000", "[2001:db8:c::7]:41000"
        named = (NAMED[0], "[fd00::7]:41000", "100.64.0.9:41000", self.NEAR)
        found = self.graded(*named, other, self.V6, later, KEPT)
        expected = dict.fromkeys(named, self.FOREIGN)
        expected |= {other: self.CLAIMED, self.V6: self.UNSEEN, later: self.CLAIMED}
        self.assertEqual(found, {**expected, KEPT: self.KNOWN})

    def test_same_site(self) -> None:
        """What is within it, too."""
        near = (NAMED[0], "[fd00::7]:41000", "100.64.0.9:41000", self.NEAR)
        found = self.graded(*near, self.V6, KEPT, observed="203.0.113.9:40000")
        expected = {**dict.fromkeys(near, self.KNOWN), self.V6: self.UNSEEN, KEPT: self.KNOWN}
        self.assertEqual(found, expected)

    def test_ipv6(self) -> None:
        """Neighbours of the observed address are as well known; the others could have been seen."""
        neighbour, other = "[2001:db8:b::8]:5000", "[2001:db8:c::7]:41000"
        found = self.graded(neighbour, other, NAMED[0], self.V6, observed=self.OURS)
        self.assertEqual(found[neighbour], self.KNOWN)
        self.assertEqual(found[self.V6], self.KNOWN)
        self.assertEqual(found[other], self.CLAIMED)
        self.assertEqual(found[NAMED[0]], self.FOREIGN)
        self.assertEqual(self.graded(self.NEAR, observed=self.OURS)[self.NEAR], self.KNOWN)

    def test_server_does_not_know(self) -> None:
        """Then everything is claimed, and what is foreign cannot be told."""
        found = self.graded(*NAMED, self.V6, KEPT, observed=None)
        self.assertEqual(set(found.values()), {self.CLAIMED})

    def test_guessed(self) -> None:
        """A few dials, at the NAT at which the server has met the peer."""
        found = self.graded(*NAMED, CHANGED)
        self.assertEqual(found[CHANGED], self.KNOWN)
        for address in BEHIND:
            redials, claimed, foreign = found[address]
            self.assertLess(redials, 20)
            self.assertFalse(claimed or foreign)
        self.assertEqual(Target(parse_address(KEPT)).redials, OFTEN)
