"""
The end of a port: whoever has come is taken in, and nobody else is kept from going elsewhere.
"""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Any

__all__ = ["take_queued"]

#: Turns in which a port is emptied at most; in most of them it accepts more than one.
_TURNS = 1 << 13


def take_queued(ports: Iterable[Any]) -> None:
    """
    Accept all who are in the queues of these ports now. They would be reset when the last one who
    has the socket closes it.
    """
    for port in ports:
        queue = select.poll()
        queue.register(port.fileno(), select.POLLIN)
        for _ in range(_TURNS):
            if not queue.poll(0):
                break
            port.doRead()
