"""
Two peers meet in every topology of the laboratory, on the best path that it allows.

What counts is the path of the bytes, from packet counters at the peers. Times are measured by
``benchmarks/natmatrix.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from rdv.client.dial.hole_punching import SYN_BUDGET
from rdv.client.dial.targets import OFTEN, SELDOM
from tests import natlab
from tests.natlab import TOPOLOGIES, Conditions, Expected, Result

DIRECT = (Expected.DIRECT, Expected.PREDICTED)
#: Topologies in which peers next to each other have to cross their SYNs at boxes that reset.
BY_CHANCE = ("carrier-hairpin-reset",)
#: So far from each other that a late SYN still crosses the other one.
FAR = "100"
#: The SYNs of an attempt: first dials, with retransmissions until the relay (the server, ten
#: addresses, four guesses); and redials of claimed addresses, most of them of one IPv6 address.
MOST_SYNS = SYN_BUDGET + 15 * 4 + OFTEN + 8 * SELDOM


class ConnectivityTestCase(TestCase):
    """Meetings, in a thread."""

    timeout = 240
    skip = natlab.unavailable()

    def meet(
        self, name: str, distance: str, *, runs: int = 1, loss: float = 0.0, **options: Any
    ) -> Deferred[list[Result]]:
        conditions = Conditions.named(distance, loss=loss, seed=1)
        return deferToThread(natlab.meet, name, conditions, runs=runs, **options)

    def assert_good(self, results: list[Result], path: str | None = None) -> None:
        """The conversations came to their end, in the given way if one is given."""
        for result in results:
            self.assertTrue(result.ok, result.line())
            self.assertFalse(result.half_dead, result.line())
            self.assertIn(result.path, ["direct", "relay"] if path is None else [path])
            self.assertLessEqual(max(result.syns), MOST_SYNS, result.line())


def _plain(*peers: str) -> dict[str, Any]:
    return dict.fromkeys(peers, "plain")


def _meets(name: str, distance: str) -> Callable[[ConnectivityTestCase], object]:
    async def test(self: ConnectivityTestCase) -> None:
        if name in BY_CHANCE:
            self.assert_good(await self.meet(name, distance))
        else:
            patient = {"penalty": 10.0}  # otherwise a busy machine might take the relay
            meeting = self.meet(name, distance, dialer_options=patient, acceptor_options=patient)
            self.assert_good(await meeting, "direct")

    test.__doc__ = f"{TOPOLOGIES[name].text} ({distance})"
    return test


class EveryTopologyTests(ConnectivityTestCase):
    """20 ms between the peers, with the server in the middle."""

    async def test_relayed(self) -> None:
        """Where there is no direct path; all that counts is a wait, so some are at once."""
        at_once = DeferredSemaphore(4)
        names = [name for name, plan in TOPOLOGIES.items() if plan.expected not in DIRECT]
        self.assertGreater(len(names), 5)
        for results in await gatherResults([at_once.run(self.meet, name, "20") for name in names]):
            self.assert_good(results, "relay")


class DistanceTests(ConnectivityTestCase):
    """Refusing boxes, where one peer is much nearer to the server."""


for name, topology in TOPOLOGIES.items():
    if topology.expected in DIRECT:
        setattr(EveryTopologyTests, f"test_{name.replace('-', '_')}", _meets(name, "20"))
for name in ("reset", "prohibited", "firewall-reset", "sequential", "double-reset"):
    for distance in ("unequal", "unequal-acceptor"):
        method = f"test_{name}_{distance}".replace("-", "_")
        setattr(DistanceTests, method, _meets(name, distance))


class ChoiceTests(ConnectivityTestCase):
    """More than one direct path is open."""

    async def test_lan_before_hairpin(self) -> None:
        """The router would turn the connection round, but it need not leave the LAN."""
        results = await self.meet("lan-hairpin", "20", runs=3)
        self.assert_good(results, "direct")
        for result in results:
            self.assertRegex(result.dialer.peer, r"^192\.168\.")


class SwitchTests(ConnectivityTestCase):
    """The benefit of the server's alignment: peers that dial once, and NATs that refuse."""

    async def test_not_aligned(self) -> None:
        """A server far off both, at different distances: the SYNs do not cross by themselves."""
        plain = _plain("dialer", "acceptor")
        alone = ["--no-align"]
        self.assert_good(await self.meet("reset", "far", server_options=alone, **plain), "relay")


class NearTests(ConnectivityTestCase):
    """
    Within one LAN, two SYNs hardly ever cross, and a NAT may pass only the first bytes. Whether the
    path is direct is luck; whether the connection works is not.
    """

    async def test_refusing(self) -> None:
        """Peers of ours."""
        for name in ("reset", "unreachable", "prohibited", "firewall-prohibited"):
            self.assert_good(await self.meet(name, "0", runs=3))

    async def test_old_dialer(self) -> None:
        """One that trusts its own CONFIRM meets an acceptor of ours."""
        careful = {"half_dead_within": 1.0}  # on a busy machine, round trips are long
        for name in ("unreachable", "prohibited"):
            results = await self.meet(name, "0", runs=3, dialer="plain", acceptor_options=careful)
            self.assert_good(results)

    async def test_old_acceptor(self) -> None:
        """A dialer of ours sees whether its CONFIRM arrives."""
        for name in ("unreachable", "prohibited"):
            self.assert_good(await self.meet(name, "0", runs=3, acceptor="plain"))


class OldPeerTests(ConnectivityTestCase):
    """With one peer that dials once, and our server."""

    async def test_each_way(self) -> None:
        """NATs that refuse are passed: the answers leave at the right moments."""
        for old in ("dialer", "acceptor"):
            for name in ("silent", "reset"):
                self.assert_good(await self.meet(name, FAR, **_plain(old)), "direct")

    async def test_ports_that_step(self) -> None:
        """The peer's NAT gives it away, and it need not know."""
        self.assert_good(await self.meet("sequential-dialer", FAR, dialer="plain"), "direct")
        self.assert_good(await self.meet("sequential-acceptor", FAR, acceptor="plain"), "direct")


class LossTests(ConnectivityTestCase):
    """Packets get lost."""

    async def test_loss(self) -> None:
        """Whatever is lost, there is a connection, and it carries everything."""
        for name in ("silent", "reset"):
            self.assert_good(await self.meet(name, "20", runs=5, loss=5))
