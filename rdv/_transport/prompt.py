"""
TCP connections without delays: a write goes to the kernel immediately, and operations that need no
buffer space do not wait until the reactor reports some.

A Twisted transport buffers each write, asks the reactor to watch the descriptor, is notified in a
later turn that it can write, writes, and asks not to be watched any more: three system calls and a
turn for a line that could have been sent immediately. It closes in the same way, after an empty
write. For a server whose connections see three short writes and then close, this is a large part of
its work.
"""

from __future__ import annotations

from collections.abc import Iterable
from errno import ENOBUFS, EWOULDBLOCK
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv._system.sockets import has_shut_down

__all__ = ["PromptServer", "hasten"]

log = Logger()

#: Errors that mean that the kernel has no room at the moment.
_NO_ROOM = (EWOULDBLOCK, ENOBUFS)
#: One for all, as in the reactor: Twisted looks up its properties only once.
_DONE = Failure(CONNECTION_DONE)
#: Connections with actions for the next turn of a reactor, and one call for all of them.
_due: dict[object, tuple[IDelayedCall, list[PromptServer]]] = {}


def hasten(transport: object) -> None:
    """
    Make a connection that a Twisted port has accepted a :class:`PromptServer`, if there is nothing
    above it, no producer, and nothing left to write, including an end. Otherwise it stays as it is.
    """
    if type(transport) is Server and not transport.TLS and not transport.disconnecting:
        # Twisted has no public way to tell what is buffered, and whether an end is. If these
        # attributes ever change, a connection is only as slow as Twisted's.
        waiting = getattr(transport, "_tempDataLen", None)
        is_ending = getattr(transport, "_writeDisconnecting", None)
        is_idle = waiting == 0 and is_ending is False and transport.producer is None
        if is_idle and not transport.dataBuffer:
            transport.__class__ = PromptServer


class PromptServer(Server):
    """
    A connection accepted by a port, without TLS.

    It follows one rule: while bytes are buffered, it behaves like Twisted's. While none are, a
    write is tried immediately, and all other actions for which Twisted waits until the descriptor
    is writable (closing, ending one direction, asking a producer) happen in the reactor's next
    turn. Nothing is therefore called back from within a call, and a descriptor is closed between
    the events of two turns.
    """

    _is_filled = False  # bytes are buffered
    _is_buffering = False  # bytes are being added to the buffer
    _is_due = False  # there are actions for the next turn
    _is_cut = False  # it is being aborted
    _has_failed = False  # a write has failed

    def write(self, data: bytes) -> None:
        if not self._can_send():
            self._buffer(data)
            return
        if not data:
            return
        try:  # the same as ``writeSomeData``, with four calls less
            sent = self.socket.send(data)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                self._fail()
                return
            sent = 0
        if sent < len(data):
            self._buffer(data[sent:])

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def _can_send(self) -> bool:
        return (
            not (self._is_filled or self._is_due or self._writeDisconnecting or self._is_cut)
            and bool(self.connected)
            # A producer is notified when buffered bytes are gone. And a relayed stream has other
            # readers, from which an immediate write could hide a reset: see ``_fail``.
            and self.producer is None
        )

    def _buffer(self, data: bytes) -> None:
        if not self._has_failed:
            self._is_buffering = True
            super().write(data)  # type: ignore[no-untyped-call]
            self._is_buffering = False

    def _fail(self) -> None:
        """
        The connection was reset. The kernel reports this once, and the next read would find an end.
        The reactor therefore stops reading, and the loss is reported before any other event.
        """
        self._has_failed = True
        self.doRead = self.doWrite = _lost  # type: ignore[method-assign]
        self.startWriting()

    def writeSomeData(self, data: bytes) -> int | ConnectionLost:
        return super().writeSomeData(data) if data else 0

    def loseConnection(self) -> None:
        if self.connected and not self.disconnecting and has_shut_down(self):
            self.connectionLost(_DONE)
        else:
            super().loseConnection()  # type: ignore[no-untyped-call]

    def abortConnection(self) -> None:
        self._is_cut = True
        super().abortConnection()  # type: ignore[no-untyped-call]

    def startWriting(self) -> None:
        if self._is_buffering:  # Twisted ignores empty writes, and writes after an end
            self._is_filled = True
        if self._is_filled:
            super().startWriting()  # type: ignore[no-untyped-call]
        elif not self._is_due:
            self._is_due = True
            reactor: Any = self.reactor
            call, due = _due.get(reactor, (None, []))
            if call is None or not call.active():  # the end of a test may have cancelled it
                _due[reactor] = reactor.callLater(0, _turn, reactor), due
            due.append(self)

    def stopWriting(self) -> None:
        if self._is_filled:
            super().stopWriting()  # type: ignore[no-untyped-call]
            self._is_filled = False
        self._is_due = False

    def go_on(self) -> None:
        """Do the deferred actions, in the turn in which they are due."""
        # Otherwise it is done, or data was written meanwhile, after which the reactor does it.
        if not (self._is_due and self.connected) or self._is_filled:
            return
        self._is_due = False
        try:
            error = self.doWrite()  # type: ignore[no-untyped-call]
            reason = _DONE if error is CONNECTION_DONE else error and Failure(error)
        except Exception:
            reason = Failure()
            log.failure("{connection} failed", failure=reason, connection=self)
        if reason is not None:
            self.connectionLost(reason)


def _turn(reactor: object) -> None:
    for connection in _due.pop(reactor)[1]:
        try:
            connection.go_on()
        except Exception:
            log.failure("{connection} failed to be closed", connection=connection)


def _lost() -> ConnectionLost:
    return CONNECTION_LOST
