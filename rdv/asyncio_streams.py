"""
Twisted endpoints with asyncio streams, for programs written for asyncio.

::

    reader, writer = await open_connection(endpoint)   # for asyncio.open_connection
    port = await start_server(endpoint, connected)     # for asyncio.start_server

Requires Twisted's asyncio reactor, and works with any endpoint.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, cast

from twisted.internet.interfaces import (
    IListeningPort,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory

from rdv._asyncio_transport import AsyncioTransport
from rdv.errors import WrongReactor

__all__ = ["Connected", "open_connection", "start_server"]

#: The client callback of a server, as for ``asyncio.start_server``.
Connected: TypeAlias = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]
]

#: Bytes that a reader holds, as in asyncio.
_LIMIT = 1 << 16


async def open_connection(
    endpoint: IStreamClientEndpoint, *, limit: int = _LIMIT
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """
    Connect. Cancelling it cancels the attempt.

    :param limit: the limit of the reader, in bytes, as for ``asyncio.open_connection``.
    :raises rdv.errors.WrongReactor: when Twisted's reactor does not run on the event loop.
    :raises rdv.errors.RdvError: or whatever the endpoint fails with.
    """
    loop = _loop()
    made: list[_Streams] = []
    connecting = endpoint.connect(_factory(loop, limit, None, made.append))
    try:
        streams = cast(_Streams, await connecting.asFuture(loop))
    except asyncio.CancelledError:
        # It may have been established at the same moment, and no other code has it.
        for each in made:
            each.abort()
        raise
    return streams.reader, streams.writer


async def start_server(
    endpoint: IStreamServerEndpoint, connected: Connected, *, limit: int = _LIMIT
) -> IListeningPort:
    """
    Listen.

    :param connected: is started as a task for each connection.
    :param limit: the limit of the readers, in bytes, as for ``asyncio.start_server``.
    :return: the port; ``stopListening()`` ends it.
    :raises rdv.errors.WrongReactor: when Twisted's reactor does not run on the event loop.
    """
    loop = _loop()
    return await endpoint.listen(_factory(loop, limit, connected)).asFuture(loop)


def _loop() -> asyncio.AbstractEventLoop:
    """The running loop, which must be the reactor's: otherwise nothing would ever happen."""
    loop = asyncio.get_running_loop()
    reactor = _installed_reactor()
    if reactor is not None and getattr(reactor, "_asyncioEventloop", None) is not loop:
        raise WrongReactor(
            "Twisted's reactor does not run on this event loop, so this would hang: call "
            "asyncioreactor.install(asyncio.get_running_loop()) before anything imports "
            "twisted.internet.reactor"
        )
    return loop


def _installed_reactor() -> object | None:
    # Importing it would install one.
    return sys.modules.get("twisted.internet.reactor")


def _factory(
    loop: asyncio.AbstractEventLoop,
    limit: int,
    connected: Connected | None,
    made: Callable[[_Streams], object] = lambda streams: None,
) -> Factory[Any]:
    def build() -> _Streams:
        streams = _Streams(loop, limit, connected)
        made(streams)
        return streams

    factory = Factory.forProtocol(build)
    factory.noisy = False
    return factory


class _Streams(AsyncioTransport):
    """
    :ivar reader: the received data.
    :ivar writer: there is one as soon as there is a connection.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit: int, connected: Connected | None
    ) -> None:
        self._loop = loop
        self.reader = asyncio.StreamReader(limit, loop=loop)
        self._streams = asyncio.StreamReaderProtocol(self.reader, connected, loop=loop)
        super().__init__(self._streams)

    def connectionMade(self) -> None:
        super().connectionMade()
        self.writer = asyncio.StreamWriter(self, self._streams, self.reader, self._loop)
