"""
Several servers, one of which is killed, one drains, and one is added, while pairs connect.

``python -m benchmarks.machines [--fronts urls haproxy nginx envoy] [--pairs 200] [--seconds 40]``

There are four servers on this host, three of which run at first. After a quarter of the time the
first one is killed, and not restarted; after 45 % the second one gets SIGTERM, and has 5 seconds
for the streams that it relays; at 65 % the fourth one is started. Pairs connect all the time: one
of the two waits up to six seconds for the other, both try for 30 seconds as ``rdv dial`` and ``rdv
accept`` do, and a relayed stream lasts up to four seconds. The clients are real ones, in one
process.

``urls``: clients know all four URLs. The others: one URL, that of a balancer with the configuration
from ``docs/howto/machines.rst``. ``haproxy-unchecked`` has no health checks and no retries.

A pair is ``late`` when it connects more than a second after its second peer has arrived, and
``hurt`` when it is late or fails. For each event, the table shows how many pairs were hurt, and how
many seconds after it the last of them arrived. A stream is ``cut`` when it was lost before its
time; those of the killed server cannot be saved.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from benchmarks.common import allow_files, machine, percentile, table
from benchmarks.fleet import FRONTS, Fleet
from rdv._system.clock import use_monotonic_clock
from rdv.addresses import AddressSpace
from rdv.client import Client, Connection
from rdv.client.trace import Trace
from rdv.endpoints.retry import keep_trying
from rdv.wire import Role

REACTOR = cast(Any, reactor)

#: Seconds for which each peer tries, waits for the other one at most, and streams at most.
TIMEOUT, APART, STREAM = 30.0, 6.0, 4.0
#: The times of the events, as fractions of the whole time.
KILLED, DRAINS, ADDED = 0.25, 0.45, 0.65


@dataclass
class Pair:
    """
    :ivar begun: when the second peer started.
    :ivar took: seconds from then to a connection on both sides.
    :ivar failed: why there was none.
    :ivar cut: whether the stream was lost before its time.
    """

    begun: float = 0.0
    took: float | None = None
    failed: str = ""
    cut: bool = False


class _Stream(Protocol):
    """Detects whether it is lost before it is closed."""

    def __init__(self) -> None:
        self.lost = False
        self.gone: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        self.lost = True
        self.gone.callback(None)


async def _one(client: Client, urls: list[str], role: Role, token: str) -> Connection:
    connect = client.dial if role is Role.DIALER else client.accept
    servers = urls if len(urls) > 1 else urls[0]

    def attempt(timeout: float | None, trace: Trace) -> Deferred[Connection]:
        return connect(servers, token, timeout=timeout, trace=trace)

    return await keep_trying(attempt, REACTOR, role, token, TIMEOUT)


async def _pair(client: Client, urls: list[str], number: int, chance: random.Random) -> Pair:
    pair, token = Pair(), f"pair {number} {chance.random()}"
    roles = [Role.DIALER, Role.ACCEPTOR]
    chance.shuffle(roles)
    sides = [Deferred.fromCoroutine(_one(client, urls, roles[0], token))]
    await deferLater(REACTOR, chance.random() * APART)
    pair.begun = REACTOR.seconds()
    sides.append(Deferred.fromCoroutine(_one(client, urls, roles[1], token)))
    results = await DeferredList(sides, consumeErrors=True)
    pair.took = REACTOR.seconds() - pair.begun
    streams = []
    for _, result in results:
        if isinstance(result, Failure):
            pair.failed = f"{type(result.value).__name__}: {result.getErrorMessage()}"
        else:
            streams.append(stream := _Stream())
            result.attach(stream)
    if not pair.failed:
        await deferLater(REACTOR, chance.random() * STREAM)
        pair.cut = any(stream.lost for stream in streams)
    for stream in streams:
        if not stream.lost:
            stream.transport.abortConnection()  # type: ignore[union-attr]
            await stream.gone
    return pair


async def _run(name: str, pairs: int, seconds: float, seed: int) -> tuple[list[Pair], float]:
    """:return: the pairs, and when the first one started."""
    chance = random.Random(seed)
    client = Client(REACTOR, spaces=AddressSpace.NONE)
    proxied = () if name == "urls" else _BEHIND_A_BALANCER
    with ExitStack() as stack:
        fleet = Fleet(stack, 4, "--drain", "5", "--no-limits", *proxied)
        for index in range(3):
            fleet.start(index)
        for index in range(3):
            fleet.listens(index)
        urls = stack.enter_context(FRONTS[name](fleet))
        await deferLater(REACTOR, 2)  # a balancer has checked its servers by then
        begun = REACTOR.seconds()
        for share, happens, index in (
            (KILLED, fleet.kill, 0),
            (DRAINS, fleet.drain, 1),
            (ADDED, fleet.start, 3),
        ):
            REACTOR.callLater(share * seconds, happens, index)
        coming = []
        for number in range(pairs):
            coming.append(Deferred.fromCoroutine(_pair(client, urls, number, chance)))
            await deferLater(REACTOR, seconds / pairs)
        return [await each for each in coming], begun


_BEHIND_A_BALANCER = (
    *("--observed-header", "X-Real-IP", "--observed-port-header", "X-Real-Port"),
    *("--lobby-timeout", "10"),
)


def _row(name: str, pairs: list[Pair], begun: float, seconds: float) -> list[str]:
    good = [pair.took for pair in pairs if pair.took is not None and not pair.failed]
    hurt = [pair for pair in pairs if pair.failed or (pair.took or 0) > 1]
    cells = [name, str(len(pairs)), str(sum(bool(pair.failed) for pair in pairs))]
    cells += [str(sum(took > 1 for took in good))]
    cells += [f"{percentile(good, 50) * 1e3:.0f} ms", f"{max(good):.1f} s"]
    for start, end in ((KILLED, DRAINS), (DRAINS, ADDED), (ADDED, 2.0)):
        after = [
            pair.begun - begun - start * seconds
            for pair in hurt
            if start * seconds <= pair.begun - begun < end * seconds
        ]
        cells.append(f"{len(after)}, {max(after):.1f} s" if after else "0")
    return [*cells, str(sum(pair.cut for pair in pairs))]


_HEAD = (
    *("front", "pairs", "failed", "late", "median", "longest"),
    *("hurt by kill", "by drain", "by the new one", "streams cut"),
)


async def _main(options: argparse.Namespace) -> None:
    print(machine())
    rows, reasons = [], Counter[str]()
    for name in options.fronts:
        pairs, begun = await _run(name, options.pairs, options.seconds, options.seed)
        rows.append(_row(name, pairs, begun, options.seconds))
        reasons.update(f"{name}: {pair.failed}" for pair in pairs if pair.failed)
    print(table(_HEAD, rows))
    for reason, number in reasons.most_common(10):
        print(f"{number} x {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--fronts", nargs="+", choices=FRONTS, default=["urls", "haproxy", "nginx"])
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    allow_files(10 * options.pairs)
    use_monotonic_clock(REACTOR)
    status = []

    def ended(result: object) -> None:
        if isinstance(result, Failure):
            result.printTraceback()
            status.append(1)
        REACTOR.stop()

    REACTOR.callWhenRunning(lambda: Deferred.fromCoroutine(_main(options)).addBoth(ended))
    REACTOR.run()
    sys.exit(len(status))


if __name__ == "__main__":
    main()
