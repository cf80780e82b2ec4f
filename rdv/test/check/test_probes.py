"""
The steps of ``rdv check``, and how it ends.
"""

from __future__ import annotations

import socket
from argparse import Namespace
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.http_headers import Headers

from rdv._stdio.console import Console, Form
from rdv.addresses import AddressSpace, parse_address
from rdv.check import Observations, probes, verdict
from rdv.check.ends import Pair, all_of
from rdv.check.observations import HalfClose, Sighting, StrayAnswer, Throughput
from rdv.check.probes import Probes
from rdv.check.relaying import _Sender, dial_mapping, half_close, measure
from rdv.commands import running
from rdv.server.site.service import RendezvousService
from rdv.settings import ServerSettings
from rdv.test.sockets import held_port
from rdv.testing import MemoryRendezvous

reactor: Any = _reactor


class TogetherTests(SynchronousTestCase):
    """:func:`all_of`."""

    def test_results(self) -> None:
        one, two = Deferred[int](), Deferred[int]()
        both = Deferred.fromCoroutine(all_of([one, two]))
        two.callback(2)
        one.callback(1)
        self.assertEqual(self.successResultOf(both), [1, 2])

    def test_failure(self) -> None:
        """It is the one that failed, and nobody is told of the others'. A cancellation is none."""
        one, two = Deferred[int](), Deferred[int]()
        both = Deferred.fromCoroutine(all_of([one, two]))
        one.errback(KeyError("one"))
        two.errback(KeyError("two"))
        self.assertEqual(self.failureResultOf(both, KeyError).value.args, ("one",))
        both = Deferred.fromCoroutine(all_of([Deferred[int]()]))
        both.cancel()
        self.failureResultOf(both, CancelledError)


class PairTestCase(SynchronousTestCase):
    """Pairs through a relay. Nothing may be left of them."""

    def setUp(self) -> None:
        self.rendezvous = MemoryRendezvous()
        self.addCleanup(self.rendezvous.assert_nothing_left)
        self.reactor = self.rendezvous.host()

    def pair(self) -> Pair:
        return Pair(*self.rendezvous.pair(relay=True))


class PairTests(PairTestCase):
    """Closing and filling them."""

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.pair().close(self.reactor))

    def measure(self) -> Deferred[Throughput]:
        return Deferred.fromCoroutine(measure(self.reactor, self.pair(), 1.5, 3_000_001))

    def test_close(self) -> None:
        closing = self.close()
        self.rendezvous.flush()
        self.assertIsNone(self.successResultOf(closing))

    def test_measure(self) -> None:
        """Everything arrives; or the connection is lost before anything has."""
        for breaks, result in ((False, (3_000_001, False)), (True, (0, True))):
            measuring = self.measure()
            if breaks:
                self.rendezvous.break_connections()
            self.rendezvous.flush()
            measured = self.successResultOf(measuring)
            self.assertEqual((measured.bytes, measured.broken), result)

    def test_measure_stalled(self) -> None:
        """A relay that takes the first bytes at once, and then nothing, is not taken for fast."""
        self.patch(_Sender, "resumeProducing", lambda sender: None)
        pair = self.pair()
        measuring = Deferred.fromCoroutine(measure(self.reactor, pair, 1.5, 1 << 20))
        pair.dialer.write(bytes(1 << 16))
        self.rendezvous.flush()
        self.rendezvous.advance(1.5)
        measured = self.successResultOf(measuring)
        self.assertEqual((measured.bytes, measured.seconds), (1 << 16, 1.5))

    def test_cancelled(self) -> None:
        """An interruption is one there as well, and nothing stays open."""
        beginnings: tuple[Callable[[], Deferred[Any]], ...] = (self.close, self.measure)
        for begin in beginnings:
            doing = begin()
            doing.cancel()
            self.rendezvous.flush()
            self.failureResultOf(doing, CancelledError)


class HalfCloseTests(PairTestCase):
    """:func:`half_close`."""

    def begin(self, seconds: float = 1.5) -> Deferred[HalfClose]:
        """Until the end has passed, and the answer is due."""
        pair = self.pair()
        ending = half_close(self.reactor, pair.dialer, pair.acceptor, seconds)
        result = Deferred.fromCoroutine(ending)
        self.rendezvous.flush()
        self.assertNoResult(result)
        return result

    def test_passed(self) -> None:
        ending = self.begin()
        self.rendezvous.advance(0.2)
        self.assertIs(self.successResultOf(ending), HalfClose.PASSED)

    def test_both_closed(self) -> None:
        """At the first end, or with the answer."""
        for what in (self.rendezvous.break_connections, self.cut_short):
            ending = self.begin()
            what()
            self.rendezvous.advance(0.2)
            self.assertIs(self.successResultOf(ending), HalfClose.BOTH)

    def cut_short(self) -> None:
        """The server ends the asking side's connection."""
        pairs = list(self.rendezvous.server._pairs)
        pairs[0].dialer.transport.loseConnection()

    def test_nothing_comes(self) -> None:
        ending = self.begin(seconds=0.1)
        self.rendezvous.advance(0.1)
        self.assertIs(self.successResultOf(ending), HalfClose.NOTHING)

    def test_cancelled(self) -> None:
        ending = self.begin()
        ending.cancel()
        self.rendezvous.flush()
        self.failureResultOf(ending, CancelledError)


class StrayTests(TestCase):
    """:func:`dial_mapping`, on loopback, where nothing is mapped."""

    async def answer(self, listens: bool) -> StrayAnswer:
        with held_port() as held:
            port = held.getsockname()[1]
            target = parse_address(f"127.0.0.1:{port}")
            stray = await dial_mapping(reactor, Sighting(port if listens else 0, target), 5)
        assert stray is not None
        return stray.answer

    async def test_answers(self) -> None:
        self.assertIs(await self.answer(True), StrayAnswer.CONNECTED)
        self.assertIs(await self.answer(False), StrayAnswer.REFUSED)
        self.assertIs(await dial_mapping(reactor, Sighting(0, None), 5), None)


class _TwoAddresses:
    """A resolver: a name has a dead address first, and then a live one."""

    def resolveHostName(self, receiver: Any, *args: Any, **kwargs: Any) -> Any:
        """See :class:`IHostnameResolver`."""
        _, port, kinds = args
        if IPv4Address in kinds:
            for host in ("127.0.0.2", "127.0.0.1"):
                receiver.addressResolved(IPv4Address("TCP", host, port))
        receiver.resolutionComplete()


class ProbesTests(TestCase):
    """:class:`Probes`, with a server on loopback."""

    def setUp(self) -> None:
        service = RendezvousService(reactor, ServerSettings(listen=("127.0.0.1:0",)))
        service.startService()
        self.addCleanup(service.stopService)
        port: Any = service.ports[0]
        self.port = port.getHost().port

    async def probe(
        self,
        host: str,
        timeout: float,
        progress: Callable[[str], object] = lambda what: None,
        throughput: bool = False,
        proxy: str | None = None,
    ) -> Observations:
        url = f"http://{host}:{self.port}/"
        return await Probes(
            reactor,
            url,
            shown=url,
            headers=Headers(),
            tls=None,
            spaces=AddressSpace.NONE,
            timeout=timeout,
            throughput=throughput,
            progress=progress,
            proxy=proxy,
        ).run()

    async def test_no_time(self) -> None:
        """That is not the server's fault."""
        seen = await self.probe("127.0.0.1", 0)
        # Under asyncio a connection that is there at once is in time even so.
        failed = [each for each in seen.dials if each.seconds is None]
        self.assertEqual((failed, seen.late[0]), ([], "reaching the server"))
        self.assertEqual(verdict(seen).key, "no-time")

    async def test_amount(self) -> None:
        """Over a line that may cost something it is little, and said before it begins."""
        self.patch(probes, "_MOST", 1_000_000)
        self.patch(probes, "_MOST_HERE", 2_000_000)
        for is_here, more, most in (
            (True, "", 2_000_000),
            (False, ", up to 1 MB up and 1 MB down (none with --no-throughput)", 1_000_000),
        ):
            self.patch(probes, "is_here", lambda *_, is_here=is_here: is_here)
            said: list[str] = []
            seen = await self.probe("127.0.0.1", 15, said.append, throughput=True)
            self.assertIn(f"relay throughput{more}", said)
            assert seen.throughput is not None
            self.assertEqual(seen.throughput.bytes, most)

    async def test_refusing_proxy(self) -> None:
        """The server itself is none that connects others. Its own address is tried, too."""
        proxy = f"http://x:y@127.0.0.1:{self.port}"
        seen = await self.probe("127.0.0.1", 15, proxy=proxy)
        self.assertEqual(seen.proxy, f"http://127.0.0.1:{self.port}")
        self.assertNotIn("x:y", str(seen))
        concluded = verdict(seen)
        self.assertEqual(concluded.key, "behind-proxy")
        advice = [each.key for each in concluded.advice]
        self.assertEqual(advice, ["ask-proxy", "without-proxy"])

    async def test_dead_address(self) -> None:
        """
        The first address of the server's name does not answer. Each client waits for that one half
        of its time, and the two meet all the same.
        """
        with socket.socket() as dead, socket.socket() as waiting:
            dead.bind(("127.0.0.2", self.port))
            dead.listen(0)  # room for one connection, which is taken
            waiting.connect(("127.0.0.2", self.port))
            self.addCleanup(reactor.installNameResolver, reactor.nameResolver)
            reactor.installNameResolver(_TwoAddresses())
            for name, value in (("_ROUNDS", 1), ("_REACH", 0.3), ("_MEET", 1.0)):
                self.patch(probes, name, value)
            seen = await self.probe("server.test", 60)
        self.assertEqual([each.seconds is None for each in seen.dials], [True, False])
        self.assertEqual((verdict(seen).key, seen.late), ("same-host", []))


class CommandTests(SynchronousTestCase):
    """``rdv check`` itself, and how commands end."""

    def test_interrupted_early(self) -> None:
        """Before the reactor runs nobody cancels anything: Python raises its own error."""

        async def run(*args: object) -> int:
            raise KeyboardInterrupt

        self.patch(running, "import_module", lambda name: SimpleNamespace(run=run))
        ended_with = running._exit_with_status(
            SimpleNamespace(), Namespace(module="check"), Console(Form.TEXT)
        )
        ended = self.failureResultOf(Deferred.fromCoroutine(ended_with), SystemExit)
        self.assertEqual(ended.value.code, 130)
