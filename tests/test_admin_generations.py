"""
The admin port from one generation of a server to the next.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.threads import deferToThread

from rdv.test.sockets import socket_path
from tests.servers import RELAYED
from tests.test_admin import UnixConnection
from tests.test_generations import GenerationsTestCase


class AdminTests(GenerationsTestCase):
    options: tuple[str, ...] = ()

    async def status(self) -> dict[str, Any]:
        """What the one that has the port says."""

        def get() -> dict[str, Any]:
            connection = UnixConnection(self.path)
            try:
                connection.request("GET", "/status")
                found: dict[str, Any] = json.loads(connection.getresponse().read())
                return found
            finally:
                connection.close()

        return await deferToThread(get)

    async def test_replaced(self) -> None:
        """The new one has it while the old one still relays; and nobody complains."""
        self.path = socket_path(self)
        await self.start("--admin", f"unix:{self.path}", *self.options)
        waiting = await self.waiting(b"ACCEPT", b"waits")
        await self.server.line("waiting: acceptor wa")
        dialer, acceptor = self.dial(*RELAYED), self.accept(*RELAYED)
        dialer.write(b"x")
        await acceptor.received(1)
        old = await self.status()
        self.assertEqual(old["pairs"]["relayed"], 1)
        await self.replace()
        await self.server.line("the admin port is open")
        new = await self.status()
        self.assertGreater(new["started"], old["started"])
        self.assertEqual(new["pairs"]["relayed"], 0)
        await self.meets(waiting, b"waits")
        dialer.write(b"y")
        self.assertEqual(await acceptor.received(2), b"xy")
        self.assertNotIn(b"no admin port", self.server.stderr)
        for client in (dialer, acceptor):
            client.close_stdin()
        await self.all_ended()


class WorkersAdminTests(AdminTests):
    options = ("--workers", "2")
