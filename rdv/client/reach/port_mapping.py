"""
A port that a router maps to ours for the duration of an attempt.

rdv itself has no protocol for routers. A program that does, for UPnP, NAT-PMP or PCP, gives the
client a :data:`PortMapping`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeAlias

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rdv._awaiting import deferred_of
from rdv.addresses import Address

__all__ = ["MappedPort", "PortMapping"]

log = Logger()

#: Called with the local port number for each attempt. Entering the returned context manager maps
#: the port and yields the addresses at which the router accepts connections for this host; exiting
#: it undoes that. Both must end when what they await is cancelled: Deferreds and, with Twisted's
#: asyncio reactor, anything that asyncio can await.
PortMapping: TypeAlias = Callable[[int], AbstractAsyncContextManager[Iterable[Address]]]


class MappedPort:
    """
    The mapping of one attempt. If it fails, or takes too long, the attempt continues without it.

    :param mapping: None for no mapping at all.
    :param patience: seconds to map the port, and seconds to undo that.
    """

    def __init__(
        self, clock: IReactorTime, mapping: PortMapping | None, patience: float = 0.3
    ) -> None:
        self._clock = clock
        self._mapping = mapping
        self._patience = patience
        self._entered = AsyncExitStack()

    async def open(self, port: int) -> list[Address]:
        """
        Map the port.

        :return: its external addresses; empty if there is no mapping.
        """
        if self._mapping is None:
            return []
        entering = deferred_of(self._enter(self._mapping, port))
        try:
            return await entering.addTimeout(self._patience, self._clock)
        except CancelledError:
            raise
        except Exception as error:
            log.debug("port {port} is not mapped: {error!r}", port=port, error=error)
            return []

    async def _enter(self, mapping: PortMapping, port: int) -> list[Address]:
        return list(await self._entered.enter_async_context(mapping(port)))

    async def close(self) -> None:
        """Undo the mapping, if that is possible in time. Does not fail."""
        if self._mapping is None:  # otherwise a useless asyncio task could outlive the reactor
            return
        leaving = deferred_of(self._entered.aclose())
        try:
            await leaving.addTimeout(self._patience, self._clock)
        except Exception as error:
            log.debug("a mapped port may remain mapped: {error!r}", error=error)
