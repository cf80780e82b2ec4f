"""
Where to dial.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import Address, AddressSpace, is_local, parse_address, space_of
from rdv.client.dial.targets import Target, same_site, targets
from rdv.wire import Answer

PORT = 40000
OWN = "192.168.1.2:40000"
#: The peer as the server sees it, behind a NAT that has kept its port, and one that has not.
KEPT, CHANGED = "203.0.113.9:41000", "203.0.113.9:6001"
NAMED = ["192.168.7.2:41000", "10.0.0.2:41000"]
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


class AsToldTests(SynchronousTestCase):
    """Whose NAT keeps its port."""

    def test_order(self) -> None:
        peers = [*NAMED, KEPT]
        self.assertEqual(dialled(answer(*peers)), peers)
        self.assertEqual(dialled(answer(*reversed(peers))), peers[::-1])

    def test_nothing_named(self) -> None:
        self.assertEqual(dialled(answer()), [])

    def test_each_once(self) -> None:
        self.assertEqual(dialled(answer(KEPT, *NAMED, KEPT)), [KEPT, *NAMED])

    def test_not_its_own(self) -> None:
        self.assertEqual(dialled(answer(*NAMED, OWN, KEPT)), [*NAMED, KEPT])
        self.assertEqual(dialled(answer(*NAMED, OWN, KEPT), own=()), [*NAMED, OWN, KEPT])

    def test_spaces(self) -> None:
        peers = [*NAMED, "[2001:db8::7]:41000", "127.0.0.1:41000", "[fe80::1]:41000", KEPT]
        for space in AddressSpace:
            expected = [each for each in peers if space_of(parse_address(each).ip) & space]
            self.assertEqual(dialled(answer(*peers), spaces=space), expected)
        self.assertEqual(dialled(answer(*peers), spaces=AddressSpace.NONE), [])

    def test_lowest_port(self) -> None:
        peers = [f"192.168.7.{port % 250}:{port}" for port in (22, 1023, 1024, 65535)]
        self.assertEqual(dialled(answer(*peers)), peers[2:])
        self.assertEqual(dialled(answer(*peers), lowest_port=22), peers)
        self.assertEqual(dialled(answer(*peers), lowest_port=23), peers[1:])


class PredictionTests(SynchronousTestCase):
    """A NAT that gives a client another port gives the next connection the next one."""

    def test_the_peer_s(self) -> None:
        """The server knows one port that is open already: first that, then those behind it."""
        found = dialled(answer(*NAMED, CHANGED))
        self.assertEqual(found, [CHANGED, *guesses(BEHIND), *NAMED])

    def test_both(self) -> None:
        """Every dial of ours opens another port, so that order matters: not the one in use."""
        found = dialled(answer(*NAMED, CHANGED, observed="198.51.100.1:7001"))
        self.assertEqual(found, [*guesses(BEHIND), CHANGED, *NAMED])

    def test_ours_alone(self) -> None:
        """Nothing is known of the peer that would help; it predicts ours."""
        peers = [*NAMED, KEPT]
        self.assertEqual(dialled(answer(*peers, observed="198.51.100.1:7001")), peers)

    def test_nobody_s(self) -> None:
        peers = [*NAMED, KEPT]
        self.assertEqual(dialled(answer(*peers)), peers)

    def test_we_are_not_observed(self) -> None:
        found = dialled(answer(*NAMED, CHANGED, observed=None))
        self.assertEqual(found, [CHANGED, *guesses(BEHIND), *NAMED])

    def test_ours_is_seen_as_it_is(self) -> None:
        """Whatever we have named ourselves."""
        found = dialled(answer(*NAMED, CHANGED, observed="198.51.100.1:40000"), own=())
        self.assertEqual(found[0], CHANGED)

    def test_ours_is_mapped_by_hand(self) -> None:
        """A router that maps another port to ours has not changed it behind our back."""
        said = answer(*NAMED, CHANGED, observed="198.51.100.1:7001")
        found = dialled(said, own=("198.51.100.1:7001", OWN))
        self.assertEqual(found[0], CHANGED)

    def test_peer_has_named_nothing(self) -> None:
        self.assertEqual(dialled(answer(CHANGED)), [CHANGED])

    def test_peer_has_named_different_ports(self) -> None:
        """One of them is mapped by hand, and nothing is known of a NAT."""
        peers = ["192.168.7.2:41000", "203.0.113.9:5000", CHANGED]
        self.assertEqual(dialled(answer(*peers)), peers)

    def test_server_is_within_its_network(self) -> None:
        """What it observes there says nothing of a NAT; or it is a proxy that it observes."""
        for seen in ("192.168.7.1:6001", "127.0.0.1:6001", "[fd00::1]:6001", "[fe80::1]:6001"):
            self.assertEqual(dialled(answer(*NAMED, seen)), [*NAMED, seen])

    def test_ipv6(self) -> None:
        found = dialled(answer("[fd00::7]:41000", "[2001:db8::7]:6001"))
        behind = [f"[2001:db8::7]:{port}?" for port in (6002, 6003, 6004, 6005)]
        self.assertEqual(found, ["[2001:db8::7]:6001", *behind, "[fd00::7]:41000"])

    def test_last_port(self) -> None:
        self.assertEqual(
            dialled(answer(*NAMED, "203.0.113.9:65533")),
            ["203.0.113.9:65533", "203.0.113.9:65534?", "203.0.113.9:65535?", *NAMED],
        )
        self.assertEqual(
            dialled(answer(*NAMED, "203.0.113.9:65535")), ["203.0.113.9:65535", *NAMED]
        )

    def test_no_address_twice(self) -> None:
        """What is named need not be guessed; and the two dials would have the same ports."""
        named = "203.0.113.9:6003"
        found = dialled(answer(named, CHANGED))
        self.assertEqual(len({each.rstrip("?") for each in found}), len(found))
        self.assertIn(named, found)

    def test_own_address_is_not_guessed(self) -> None:
        """Behind the same NAT ours may be the next one."""
        found = dialled(answer(*NAMED, CHANGED), own=(OWN, BEHIND[1]))
        self.assertEqual(found, [CHANGED, *guesses([BEHIND[0], *BEHIND[2:]]), *NAMED])

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

    def test_same(self) -> None:
        observed = "203.0.113.9:40000"
        self.assertTrue(same_site(answer(*NAMED, KEPT, observed=observed)))
        self.assertTrue(same_site(answer(*NAMED, CHANGED, observed=observed)))

    def test_another(self) -> None:
        self.assertFalse(same_site(answer(*NAMED, KEPT)))
        self.assertFalse(same_site(answer()))

    def test_unknown(self) -> None:
        self.assertFalse(same_site(answer(*NAMED, KEPT, observed=None)))

    def test_local(self) -> None:
        local = ("10.0.0.1:1", "169.254.1.1:1", "127.0.0.1:1", "[fd00::1]:1", "[fe80::1]:1")
        for address in (*local, "[::1]:1"):
            self.assertTrue(is_local(parse_address(address)), address)
        for address in ("203.0.113.9:1", "[2001:db8::7]:1", "100.64.0.1:1"):
            self.assertFalse(is_local(parse_address(address)), address)

    def test_target(self) -> None:
        address: Address = parse_address(KEPT)
        self.assertFalse(Target(address).guessed)
