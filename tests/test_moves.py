"""
Streams while the networks between two peers change: they move from the relay when a direct path
opens, and do not look complete when that path dies.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from hashlib import sha256

from twisted.internet import reactor
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from rdv import Secret
from tests import natlab
from tests.natlab.case import topology
from tests.natlab.model import Box, Site
from tests.natlab.programs import Server
from tests.processes import PYTHON, Program

#: Routers that drop everything except packets for the server.
_CLOSED = Site((Box(only_server=True),))
#: What a peer writes each time, and how often, in seconds.
_PIECE, _EVERY = 20_000, 0.02


class Peer:
    """
    One of two programs that copy data to each other, a little at a time.

    :ivar program: ``rdv``, in a network namespace of the laboratory.
    :ivar sent: everything that it was given.
    """

    def __init__(self, test: TestCase, host: natlab.Host, *command: str) -> None:
        ip = shutil.which("ip")
        assert ip is not None
        inside = ip, "netns", "exec", host.namespace.name
        self.program = Program(test, *inside, PYTHON, "-m", "rdv", *command)
        self.sent = bytearray()
        self._feeding = LoopingCall(self._feed)
        test.addCleanup(self.stop)

    def begin(self) -> None:
        """Begin to write."""
        self._feeding.start(_EVERY)

    def _feed(self) -> None:
        piece = secrets.token_bytes(_PIECE)
        self.sent += piece
        self.program.write(piece)

    def stop(self) -> None:
        """Write no more."""
        if self._feeding.running:
            self._feeding.stop()


class MoveTests(TestCase):
    """Two peers 20 ms from each other, behind routers whose rules change."""

    timeout = 120
    skip = natlab.unavailable()

    async def begin(self) -> None:
        """Both copy through the relay, as there is no other way."""
        self.lab = await deferToThread(
            natlab.Lab, topology(_CLOSED, _CLOSED), natlab.Conditions.named("20")
        )
        self.addCleanup(deferToThread, self.lab.close)
        server = await deferToThread(Server, self.lab)
        start = server.log.mark()
        arguments = self.lab.url, Secret.generate().reveal()
        self.acceptor = Peer(self, self.lab.acceptor, "accept", *arguments)
        await deferToThread(server.await_acceptor, start, 20.0)
        self.dialer = Peer(self, self.lab.dialer, "dial", *arguments)
        for peer in self.peers:
            await peer.program.line("^CONNECTED: relay ")
            peer.begin()

    @property
    def peers(self) -> tuple[Peer, Peer]:
        return self.dialer, self.acceptor

    def rule(self, *rules: str) -> None:
        """Put rules before all others of both routers, for what goes out."""
        for host in (self.lab.dialer, self.lab.acceptor):
            for rule in rules:
                command = "nft", "insert", "rule", "inet", "box", "forward", *rule.split()
                host.boxes[0].run(*command)

    async def open(self, after: float) -> None:
        """
        After a while the routers let everything out. SYNs are sent again one, three and seven
        seconds after the first, and with the next one the stream moves.
        """
        await deferLater(reactor, after)
        self.rule('iifname "lan" accept')
        for peer in self.peers:
            await peer.program.line("^MOVED: p2p ")

    def counters(self) -> Iterator[dict[str, int]]:
        """Of both peers, since the last time."""
        return (host.counters() for host in (self.lab.dialer, self.lab.acceptor))

    async def test_path_that_opens(self) -> None:
        """After three seconds; from then on not a byte goes through the server."""
        await self.begin()
        await self.open(3.0)
        await deferLater(reactor, 0.5)  # what was on the relay has arrived
        list(self.counters())
        await deferLater(reactor, 0.5)
        for found in self.counters():
            self.assertEqual(found["payload_out_server"], 0)
            self.assertGreater(found["payload_out_other"], 10)
        for peer in self.peers:
            peer.stop()
            peer.program.close_stdin()
        for peer, other in (self.peers, self.peers[::-1]):
            self.assertEqual(await peer.program.ended, 0, peer.program.report())
            digests = [sha256(each).digest() for each in (peer.program.stdout, other.sent)]
            self.assertEqual(*digests)

    async def test_path_that_dies(self) -> None:
        """It resets what is on it: both sides see a broken stream, and a beginning of it."""
        await self.begin()
        await self.open(1.5)
        self.rule('iifname "lan" meta l4proto tcp reject with tcp reset')
        for peer in self.peers:
            self.assertNotEqual(await peer.program.ended, 0, peer.program.report())
            peer.stop()
        for peer, other in (self.peers, self.peers[::-1]):
            self.assertIn(b"broke the connection", peer.program.stderr)
            self.assertTrue(other.sent.startswith(peer.program.stdout))
            self.assertGreater(len(peer.program.stdout), _PIECE)
