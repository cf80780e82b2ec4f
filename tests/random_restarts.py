"""
Clients of a server that is continuously replaced by new generations.

``python -m tests.random_restarts PID_FILE PORT --restarts 50`` has the server that wrote the file
and listens on 127.0.0.1 replaced so often, one generation after the other. Meanwhile pairs meet:
one client comes, waits for a moment or longer, its peer comes, and what both say goes through the
relay, for a moment or longer, with every byte checked. Then each ends cleanly.

Prints one line, ``50 restarts, 1234 pairs: 0 failed``, and before it what was wrong with those that
did.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import deferLater, react

from rdv._system.pid_file import running
from rdv.test.server.doubles import request
from rdv.wire import confirm_line, hello_line
from tests.talker import Talker

#: Pairs at a time, and the longest seconds that one waits for the other, and that both talk.
ABREAST, WAIT, TALK = 24, 1.5, 3.0
#: Seconds for everything that may take some time.
LIMIT = 60
#: The limit in total.
MOST_FAILURES = 20


class Pairs:
    """
    Lets pairs meet until it is told to stop.

    :ivar failed: what went wrong.
    """

    def __init__(self, reactor: Any, port: int) -> None:
        self._reactor = reactor
        self._port = port
        self._number = 0
        self.over = False
        self.met = 0
        self.failed: list[str] = []

    async def run(self) -> None:
        """One after the other."""
        while not self.over and len(self.failed) < MOST_FAILURES:
            self._number += 1
            number = self._number
            try:
                meeting = Deferred.fromCoroutine(self._pair(number))
                await meeting.addTimeout(LIMIT, self._reactor)
                self.met += 1
            except Exception as error:
                self.failed.append(f"pair {number}: {error!r}")

    def _pause(self, longest: float) -> Deferred[None]:
        return deferLater(self._reactor, longest * random.random() ** 2, lambda: None)

    async def _come(self, method: bytes, token: bytes) -> Talker:
        endpoint = TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._port)
        talker: Talker = await connectProtocol(endpoint, Talker())
        talker.write(request(method, rdv_token=token))
        return talker

    async def _pair(self, number: int) -> None:
        token = b"token %d" % number
        methods = [b"DIAL", b"ACCEPT"]
        random.shuffle(methods)
        first = await self._come(methods[0], token)
        await self._pause(WAIT)
        second = await self._come(methods[1], token)
        pair = (first, second) if methods[0] == b"DIAL" else (second, first)
        dialer, acceptor = pair
        for talker in pair:
            head = await talker.head()
            if not head.startswith(b"HTTP/1.1 101 "):
                raise AssertionError(f"refused: {bytes(head[:60])!r}")
            talker.data.clear()
        acceptor.write(hello_line(token))
        await dialer.received(len(hello_line(token)))
        dialer.write(confirm_line(token))
        await acceptor.received(len(confirm_line(token)))
        for talker in pair:
            talker.data.clear()
        for _ in range(3):
            await self._pause(TALK / 3)
            words = random.randbytes(random.choice((1, 1000, 100_000)))
            for one, other in (pair, pair[::-1]):
                one.write(words)
                if await other.received(len(words)) != words:
                    raise AssertionError("other bytes")
                other.data.clear()
        for talker in pair:
            talker.end()
        for talker in pair:
            await talker.over()
            if talker.is_reset:
                raise AssertionError(f"cut: {talker.why_lost}")
        for talker in pair:
            talker.transport.loseConnection()


async def restart(reactor: Any, path: str) -> None:
    """Have the server replaced, and wait until the next one serves."""
    old = running(path)
    if old is None:
        raise AssertionError("no server is running")
    os.kill(old, signal.SIGUSR2)
    while running(path) in (old, None):
        await deferLater(reactor, 0.02, lambda: None)


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """All of it."""
    pairs = Pairs(reactor, options.port)
    running_pairs = [Deferred.fromCoroutine(pairs.run()) for _ in range(options.abreast)]
    for _ in range(options.restarts):
        await deferLater(reactor, random.random(), lambda: None)
        restarting = Deferred.fromCoroutine(restart(reactor, options.pid_file))
        await restarting.addTimeout(LIMIT, reactor)
    pairs.over = True
    await gatherResults(running_pairs)
    sys.stdout.write("".join(f"{each}\n" for each in pairs.failed))
    total, failed = pairs.met + len(pairs.failed), len(pairs.failed)
    sys.stdout.write(f"{options.restarts} restarts, {total} pairs: {failed} failed\n")
    if pairs.failed:
        raise SystemExit(1)


def run_command() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("pid_file")
    parser.add_argument("port", type=int)
    parser.add_argument("--restarts", type=int, default=50)
    parser.add_argument("--abreast", type=int, default=ABREAST, help="pairs at a time")
    options = parser.parse_args()
    react(lambda reactor: Deferred.fromCoroutine(run(reactor, options)))


if __name__ == "__main__":
    run_command()
