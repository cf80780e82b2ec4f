"""How much of what was sent has arrived."""

from __future__ import annotations

from rdv._stdio import piping
from rdv.test.stdio.doubles import PipingTestCase


class DeliveredTests(PipingTestCase):
    """As far as the system tells."""

    async def test_delivered(self) -> None:
        """All but what it holds; where it does not tell, or the connection has failed, all."""
        await self.begin(self.file_of(b"12345678"), self.opened("/dev/null", 1))
        self.assertEqual(await self.receive(8), b"12345678")
        self.assertEqual(self.piping.sent, 8)
        for held, expected in ((0, 8), (3, 5), (8, 0), (100, 0), (None, 8)):
            self.patch(piping, "undelivered", lambda transport, held=held: held)
            self.assertEqual(self.piping.delivered, expected)
        self.patch(piping, "undelivered", lambda transport: 0)
        await self.send(b"")
        await self.piping.done
