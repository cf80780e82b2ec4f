"""
Tests that meet in memory.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.client import Connection
from rdv.test.doubles import Wire
from rdv.testing import MemoryRendezvous

__all__ = ["MemoryTestCase"]


class MemoryTestCase(SynchronousTestCase):
    """
    A rendezvous in memory. Nothing may be left when the test is over, and no socket be opened.

    :cvar options: for the server.
    """

    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.opened: list[tuple[object, ...]] = []

        def opening(sock: socket.socket, *arguments: object, **options: object) -> None:
            self.opened.append(arguments)
            raise AssertionError("a socket was opened")

        self.patch(socket.socket, "__init__", opening)
        self.rendezvous = MemoryRendezvous(**self.options)
        self.url = self.rendezvous.url
        self.addCleanup(self.assert_clean)

    def assert_clean(self) -> None:
        """What every test ends with."""
        self.rendezvous.assert_nothing_left()
        self.assertEqual(self.opened, [])

    def attach(self, *connections: Connection) -> list[Wire]:
        """Give each connection a protocol."""
        wires = [Wire() for _ in connections]
        for connection, wire in zip(connections, wires, strict=True):
            connection.attach(wire)
        return wires

    def close(self, *connections: Connection) -> None:
        """Close them at once."""
        for connection in connections:
            connection.abortConnection()
