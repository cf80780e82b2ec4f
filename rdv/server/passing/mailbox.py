"""
The two ends of the channel to the worker that owns a token, under the reactor: :class:`Outbox`
sends clients, :class:`Inbox` receives them.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor, IWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv._deadlines import Deadlines
from rdv._flows.kernel.epoll import IReactor
from rdv.errors import ProtocolError
from rdv.server.descriptors.budget import PAUSE, is_full
from rdv.server.passing.message import (
    PassedClient,
    decode,
    encode,
    receive,
    refuse,
    send,
)
from rdv.server.refusals import BUSY

__all__ = ["PATIENCE", "Inbox", "Outbox"]

log = Logger()

#: Seconds that a client waits for room in an inbox before it gets a 503: long enough for a worker
#: to be restarted.
PATIENCE = 10.0


@implementer(IWriteDescriptor)
class Outbox:
    """
    Sends clients to one other worker. Clients for which its inbox has no room wait here.

    :param sock: the sending end; shared with all other workers. It is not closed.
    :param limit: how many clients may wait; those beyond it get a 503.
    :param patience: for how many seconds each client may wait.
    :ivar refused: called with the status and reason of each refusal.
    """

    def __init__(
        self,
        reactor: IReactor,
        sock: socket.socket,
        limit: int = 1024,
        patience: float = PATIENCE,
    ) -> None:
        self.refused: Callable[[int, str], object] = lambda status, reason: None
        self._reactor = reactor
        self._sock = sock
        self._limit = limit
        self._waiting: deque[tuple[bytes, socket.socket]] = deque()
        self._deadlines: Deadlines[socket.socket] = Deadlines(reactor, patience, self._give_up)

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, client: PassedClient, sock: socket.socket) -> None:
        """
        Send a client, now or when there is room.

        :param sock: its connection, which this object then owns: it is closed here after it has
            arrived in the inbox.
        """
        message = encode(client)
        if not self._waiting and self._sent(message, sock):
            return
        if len(self._waiting) >= self._limit:
            log.error("a worker cannot take more clients: one was refused")
            self._refuse(sock, *BUSY)
            return
        self._waiting.append((message, sock))
        self._deadlines.add(sock)
        self._reactor.addWriter(self)

    def refuse_waiting(self, status: int, reason: str) -> None:
        """Refuse the clients that are waiting here."""
        self._reactor.removeWriter(self)
        while self._waiting:
            _, sock = self._waiting.popleft()
            self._deadlines.discard(sock)
            self._refuse(sock, status, reason)

    def _give_up(self, sock: socket.socket) -> None:
        # All have the same patience, so the first one is the oldest.
        log.error("a worker takes no clients: one was refused")
        self._waiting.popleft()
        self._refuse(sock, *BUSY)
        if not self._waiting:
            self._reactor.removeWriter(self)

    def _refuse(self, sock: socket.socket, status: int, reason: str) -> None:
        self.refused(status, reason)
        refuse(sock, status, reason)

    def _sent(self, message: bytes, sock: socket.socket) -> bool:
        try:
            send(self._sock, message, sock)
        except BlockingIOError:
            return False
        except OSError as error:
            log.error("cannot pass a client on: {reason}", reason=error.strerror)
            self._refuse(sock, *BUSY)
        else:
            sock.close()
        return True

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "outbox"

    def doWrite(self) -> None:
        """The inbox has room."""
        while self._waiting:
            message, sock = self._waiting[0]
            if not self._sent(message, sock):
                return
            self._deadlines.discard(sock)
            self._waiting.popleft()
        self._reactor.removeWriter(self)

    def connectionLost(self, reason: Failure) -> None:
        """The inbox has no receiver any more."""
        self.refuse_waiting(*BUSY)


@implementer(IReadDescriptor)
class Inbox:
    """
    Receives clients, a few in each turn of the reactor, and only one now and then while descriptors
    are scarce: the others wait in the inbox, like clients that a port has not accepted.

    :param sock: the receiving end. It is not closed.
    :param arrived: called with each client and its connection, which the callee then owns.
    """

    #: How many are received in one turn.
    batch = 64

    def __init__(
        self,
        reactor: IReactor,
        sock: socket.socket,
        arrived: Callable[[PassedClient, socket.socket], object],
    ) -> None:
        self._reactor = reactor
        self._sock = sock
        self._arrived = arrived
        self._resting: IDelayedCall | None = None

    def start(self) -> None:
        """Start receiving."""
        self._resting = None
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Stop receiving: clients that arrive now stay in the inbox."""
        self._reactor.removeReader(self)
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def finish(self) -> None:
        """Receive all clients that are in the inbox, and then stop."""
        while self._take():
            pass
        self.stop()

    def _rest(self) -> None:
        self.stop()
        self._resting = self._reactor.callLater(PAUSE, self.start)

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "inbox"

    def doRead(self) -> None:
        """The inbox is not empty."""
        for _ in range(self.batch):
            if not self._take():
                return

    def _take(self) -> bool:
        """Receive one client. Return whether there may be another one, and room for it."""
        try:
            message, sock = receive(self._sock)
        except BlockingIOError:
            return False
        except ProtocolError as error:
            log.error("{reason}", reason=error)
            return True
        if not message:
            self.stop()  # there is no sender any more
            return False
        if sock is None:
            log.error("a client was lost: too many open files")
            self._rest()
            return False
        full = is_full(sock.fileno())
        try:
            client = decode(message)
        except ProtocolError as error:
            log.error("{reason}", reason=error)
            sock.close()
            return True
        try:
            self._arrived(client, sock)
        except Exception:  # an error must not close the inbox
            log.failure("a client was lost")
            sock.close()
        if full:
            self._rest()
        return not full

    def connectionLost(self, reason: Failure) -> None:
        """There is no sender any more."""
        self.stop()
