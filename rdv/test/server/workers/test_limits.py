"""Limits for each address, of several workers together."""

from __future__ import annotations

import os

from rdv.server import Limits
from rdv.server.limits.admission import Admission
from rdv.server.limits.memory import Memory
from rdv.server.limits.numbers import Limit
from rdv.test.server.workers.doubles import WorkersTestCase, token_of
from rdv.test.sockets import until


class LimitsTests(WorkersTestCase):
    """Two workers with a memory."""

    def limit(self, limits: Limits) -> None:
        """Set the limits."""
        _, descriptor = Memory.to_share(2)
        self.addCleanup(os.close, descriptor)
        for index, each in enumerate(self.rendezvous):
            each.admission = Admission(each.clock, limits, Memory(2, index, descriptor))

    def counted(self) -> list[int]:
        """How many of 127.0.0.1 are connected, wait, and are in pairs."""
        admission = self.rendezvous[0].admission
        place = admission.lease("127.0.0.1", counted=False).place
        return [admission.counts.count(place, kind) for kind in range(3)]

    async def wait(self, worker: int, owner: int, number: int) -> None:
        """An acceptor comes to a worker, and waits at another one."""
        before = self.rendezvous[owner].waiting
        await self.ask(worker, b"ACCEPT", token_of(owner, word=f"word {number}"))
        await until(lambda: self.rendezvous[owner].waiting > before)

    async def test_together(self) -> None:
        """Three of one address may wait, whichever worker they have come to."""
        self.limit(Limits(waiting=3))
        await self.wait(0, 0, 1)
        await self.wait(0, 1, 2)
        await self.wait(1, 0, 3)
        self.assertEqual(self.counted()[Limit.WAITING], 3)
        for worker in (0, 1):
            for owner in (0, 1):
                wire = await self.ask(worker, b"DIAL", token_of(owner, word="another"))
                self.assertIn(b"HTTP/1.1 429 Too Many Requests\r\n", await wire.ended())
        dialer = await self.ask(0, b"DIAL", token_of(1, word="word 2"))
        await dialer.until(b"HTTP/1.1 101 ")
        self.assertEqual(self.counted()[1:], [2, 2])
        await self.hang_up()
        self.assertEqual(self.counted(), [0, 0, 0])

    async def test_full(self) -> None:
        """Who finds no room at another worker has tried a token."""
        self.limit(Limits(failures=1))
        self.patch(self.rendezvous[1], "has_room", lambda leg, transport: False)
        answers = []
        for number in range(5):
            wire = await self.ask(0, b"DIAL", token_of(1, word=f"word {number}"))
            answers.append((await wire.ended())[9:12])
        self.assertEqual(answers, [b"503"] * 3 + [b"429"] * 2)

    async def test_requests(self) -> None:
        """What one has seen counts at the other."""
        self.limit(Limits(requests=1))
        for number in range(10):
            wire = await self.ask(number % 2, b"GET", token_of(0))
            self.assertIn(b"HTTP/1.1 400 ", await wire.until(b"\r\n\r\n"))
        for worker in (0, 1):
            wire = await self.ask(worker, b"DIAL", token_of(0))
            self.assertIn(b"HTTP/1.1 429 Too Many Requests\r\n", await wire.ended())
