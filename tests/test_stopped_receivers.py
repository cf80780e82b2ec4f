"""
A receiver that sleeps while its peer dies: when it wakes up it takes nothing for the end.
"""

from __future__ import annotations

import os

from tests.processes import Program
from tests.servers import DIRECT, RELAYED, SystemTestCase

#: Longer than the second after which ``--json`` looks how much has moved.
SLEEP = "1.2"


class StoppedReceiverTests(SystemTestCase):
    """Much is under way when it is stopped, and its sender, or the relay, is killed then."""

    async def check(self, path: str, *options: str) -> None:
        server = await self.serve()
        null, zeros = self.opened(os.devnull), self.opened("/dev/zero")
        acceptor = self.accept(*options, stdin=null, stdout=self.opened(os.devnull, os.O_WRONLY))
        dialer = self.dial(*options, stdin=zeros)
        await acceptor.line('"event": "bytes"')
        acceptor.signal("STOP")
        (server if path == "relay" else dialer).signal("KILL")
        await dialer.ended
        await Program(self, "/bin/sleep", SLEEP).ended
        acceptor.signal("CONT")
        self.assertEqual(await acceptor.ended, 3, acceptor.report())
        await acceptor.line('"event": "end", .*"status": 3')

    async def test_direct(self) -> None:
        await self.check("p2p", "--json", *DIRECT)

    async def test_relayed(self) -> None:
        await self.check("relay", "--json", *RELAYED)
