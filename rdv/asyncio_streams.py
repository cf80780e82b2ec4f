"""
Endpoints of Twisted with the streams of asyncio, for programs that know nothing else.

::

    reader, writer = await open_connection(endpoint)   # for asyncio.open_connection
    port = await start_server(endpoint, connected)     # for asyncio.start_server

It takes Twisted's asyncio reactor, and works with any endpoint.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IListeningPort,
    IPushProducer,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Connected", "open_connection", "start_server"]

#: What a server does with a connection, as ``asyncio.start_server`` takes it.
Connected: TypeAlias = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]
]


async def open_connection(
    endpoint: IStreamClientEndpoint,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """
    Connect. Cancelling it cancels the attempt.

    :raises rdv.errors.RdvError: or whatever the endpoint fails with.
    """
    made: list[_Streams] = []
    connecting = endpoint.connect(_factory(None, made.append))
    try:
        streams = cast(_Streams, await connecting.asFuture(asyncio.get_running_loop()))
    except asyncio.CancelledError:
        # It may have come to stand in the same moment, and nobody else has it.
        for each in made:
            each.abort()
        raise
    return streams.reader, streams.writer


async def start_server(endpoint: IStreamServerEndpoint, connected: Connected) -> IListeningPort:
    """
    Listen.

    :param connected: is started as a task for each connection.
    :return: the port; ``stopListening()`` ends it.
    """
    return await endpoint.listen(_factory(connected)).asFuture(asyncio.get_running_loop())


def _factory(
    connected: Connected | None, made: Callable[[_Streams], object] = lambda streams: None
) -> Factory[Any]:
    def build() -> _Streams:
        streams = _Streams(connected)
        made(streams)
        return streams

    factory = Factory.forProtocol(build)
    factory.noisy = False
    return factory


@implementer(IHalfCloseableProtocol, IPushProducer)
class _Streams(Protocol):
    """What Twisted sees."""

    def __init__(self, connected: Connected | None) -> None:
        self._loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(loop=self._loop)
        self._streams = asyncio.StreamReaderProtocol(self.reader, connected, loop=self._loop)
        self._paused = self._ended = False
        self._above: _Transport | None = None

    def connectionMade(self) -> None:
        self._above = _Transport(self.transport, self._streams, self._writes_no_more)
        self.writer = asyncio.StreamWriter(self._above, self._streams, self.reader, self._loop)
        cast(Any, self.transport).registerProducer(self, True)
        self._streams.connection_made(self._above)

    def abort(self) -> None:
        """Close it, if it has come to stand."""
        if self._above is not None:
            self._above.abort()

    def dataReceived(self, data: bytes) -> None:
        self._streams.data_received(data)

    def readConnectionLost(self) -> None:
        self._streams.eof_received()

    def writeConnectionLost(self) -> None:
        """It is asyncio that has asked for it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._above is not None:
            self._above.lost()
        clean = reason.check(ConnectionDone)
        self._streams.connection_lost(
            None if clean else ConnectionResetError(reason.getErrorMessage())
        )

    # Twisted tells who writes too fast.

    def pauseProducing(self) -> None:
        self._paused = True
        self._streams.pause_writing()

    def resumeProducing(self) -> None:
        if self._paused:
            self._paused = False
            self._streams.resume_writing()

    def _writes_no_more(self) -> None:
        if not self._ended:
            self._ended = True
            cast(Any, self.transport).unregisterProducer()
            self.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is lost, which is told too."""


class _Transport(asyncio.Transport):
    """What asyncio sees."""

    def __init__(
        self, below: Any, protocol: asyncio.BaseProtocol, writes_no_more: Callable[[], object]
    ) -> None:
        names = {"peername": _name(below.getPeer()), "sockname": _name(below.getHost())}
        super().__init__(names)
        self._below = below
        self._protocol = protocol
        self._writes_no_more = writes_no_more
        self._ended = self._closing = False

    def lost(self) -> None:
        """It is gone: whatever is done to it now is in vain, as asyncio's own have it."""
        self._closing = True

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._ended:
            raise RuntimeError("nothing can be written after write_eof()")
        if not self._closing:
            self._below.write(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended and not self._closing:
            self._ended = True
            self._writes_no_more()
            self._below.loseWriteConnection()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._writes_no_more()
            self._below.loseConnection()

    def abort(self) -> None:
        self._closing = True
        self._below.abortConnection()

    def pause_reading(self) -> None:
        self._below.pauseProducing()

    def resume_reading(self) -> None:
        self._below.resumeProducing()


def _name(address: Any) -> object:
    """An address as asyncio shows it."""
    if hasattr(address, "port"):
        return address.host, address.port
    name = getattr(address, "name", None)  # of a Unix socket
    return os.fsdecode(name) if isinstance(name, bytes) else name
