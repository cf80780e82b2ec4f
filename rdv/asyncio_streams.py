"""
Endpoints of Twisted with the streams of asyncio, for programs that know nothing else.

::

    reader, writer = await open_connection(endpoint)   # for asyncio.open_connection
    port = await start_server(endpoint, connected)     # for asyncio.start_server

It takes Twisted's asyncio reactor, and works with any endpoint.
"""

from __future__ import annotations

import asyncio
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
    connecting = endpoint.connect(_factory(None))
    streams = cast(_Streams, await connecting.asFuture(asyncio.get_running_loop()))
    return streams.reader, streams.writer


async def start_server(endpoint: IStreamServerEndpoint, connected: Connected) -> IListeningPort:
    """
    Listen.

    :param connected: is started as a task for each connection.
    :return: the port; ``stopListening()`` ends it.
    """
    return await endpoint.listen(_factory(connected)).asFuture(asyncio.get_running_loop())


def _factory(connected: Connected | None) -> Factory[Any]:
    factory = Factory.forProtocol(lambda: _Streams(connected))
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

    def connectionMade(self) -> None:
        transport = _Transport(self.transport, self._streams, self._writes_no_more)
        self.writer = asyncio.StreamWriter(transport, self._streams, self.reader, self._loop)
        cast(Any, self.transport).registerProducer(self, True)
        self._streams.connection_made(transport)

    def dataReceived(self, data: bytes) -> None:
        self._streams.data_received(data)

    def readConnectionLost(self) -> None:
        self._streams.eof_received()

    def writeConnectionLost(self) -> None:
        """It is asyncio that has asked for it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
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
        names = {"peername": below.getPeer(), "sockname": below.getHost()}
        super().__init__({name: (each.host, each.port) for name, each in names.items()})
        self._below = below
        self._protocol = protocol
        self._writes_no_more = writes_no_more
        self._closing = False

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._below.write(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
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
