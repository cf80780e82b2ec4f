"""
The messages to a service manager, at its socket.
"""

from __future__ import annotations

import os
import socket
import sys

from twisted.trial.unittest import SynchronousTestCase

from rdv._system.service_manager import ServiceManager
from rdv.test.sockets import socket_path


class NotifyTests(SynchronousTestCase):
    def listen(self, address: str) -> socket.socket:
        """As a manager does."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind(address)
        sock.setblocking(False)
        return sock

    def test_told(self) -> None:
        """At a path, and at an abstract name, as Linux has them."""
        name = f"rdv-test-{os.getpid()}"
        path = socket_path(self)
        places = [(path, os.path.abspath(path)), (f"\0{name}", f"@{name}")]
        for address, variable in places if sys.platform == "linux" else places[:1]:
            sock = self.listen(address)
            manager = ServiceManager({"NOTIFY_SOCKET": variable})
            self.assertTrue(manager.is_there)
            manager.tell(READY=1, STATUS="3 pairs")
            self.assertEqual(sock.recv(100), b"READY=1\nSTATUS=3 pairs")

    def test_nobody(self) -> None:
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}):
            manager = ServiceManager(environ)
            self.assertFalse(manager.is_there)
            self.assertIsNone(manager.watchdog)
            manager.tell(READY=1)

    def test_gone(self) -> None:
        """A server goes on, whatever becomes of its manager."""
        ServiceManager({"NOTIFY_SOCKET": "/nowhere/at/all"}).tell(READY=1)
        path = socket_path(self)
        self.listen(path)
        manager = ServiceManager({"NOTIFY_SOCKET": os.path.abspath(path)})
        for _ in range(2000):  # it does not read: there is no more room
            manager.tell(STATUS="x" * 1000)

    def test_watchdog(self) -> None:
        there = {"NOTIFY_SOCKET": "@x"}
        for environ, wanted in (
            ({"WATCHDOG_USEC": "30000000"}, 30.0),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
            ({"WATCHDOG_USEC": "0"}, None),
            ({"WATCHDOG_USEC": "x"}, None),
            ({}, None),
        ):
            self.assertEqual(ServiceManager({**there, **environ}).watchdog, wanted)
