"""
The service manager that started this process and wants to know its state: systemd, or any program
with its protocol, datagrams to the socket that the environment names (sd_notify(3)).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["ServiceManager"]

_MICROSECONDS = 1_000_000


class ServiceManager:
    """
    Sends states to the service manager; does nothing if there is none.

    :param environ: the environment of this process.
    :ivar is_there: whether there is a service manager.
    :ivar watchdog: the maximum seconds between two reports that all is well, or None.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        # An @ stands for the byte 0, with which an abstract name begins.
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self.is_there = path[:1] in ("/", "@")
        self.watchdog = self._watchdog(environ) if self.is_there else None

    @staticmethod
    def _watchdog(environ: Mapping[str, str]) -> float | None:
        text = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        return int(text) / _MICROSECONDS if is_ours and text.isdecimal() and int(text) else None

    def tell(self, **fields: object) -> None:
        """Send fields of the protocol: ``READY=1``, ``STATUS="..."``."""
        if not self.is_there:
            return
        lines = "\n".join(f"{name}={value}" for name, value in fields.items())
        # Never wait: a server works without its service manager.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(lines.encode(), self._address)

    @staticmethod
    def microseconds(seconds: float) -> int:
        """A time in the protocol's unit."""
        return round(seconds * _MICROSECONDS)
