"""
Switches from two transports that copy to each other to two sockets between which the kernel moves
bytes.

A Twisted transport may still hold bytes to write, and may have been notified of input that it has
not read yet. Both are handled first: a direction is taken over when its source has been paused for
a turn of the reactor and the transport of its sink has written everything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeGuard, cast

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from rdv._flows.flow import Flow
from rdv._flows.flush import Flush
from rdv._flows.kernel.batching import Batching
from rdv._flows.kernel.descriptor import Descriptor
from rdv._flows.kernel.epoll import IReactor, Watcher
from rdv._flows.kernel.pipes import Pipes
from rdv._flows.kernel.splice import Splice
from rdv._flows.rate import Limit

__all__ = ["SplicedFlow", "Splicer", "is_plain"]

#: Shared by all connections, as in the reactor.
_DONE = Failure(CONNECTION_DONE)


class Splicer:
    """
    Shared by the spliced flows of one reactor. While there are none it holds nothing but a few
    pipes.

    :param reactor: a reactor that can watch descriptors; see :meth:`for_reactor`.
    """

    def __init__(self, reactor: IReactor) -> None:
        self.reactor = reactor
        self.watcher = Watcher(reactor)
        self.pipes = Pipes()
        self.batching = Batching(reactor)

    @classmethod
    def for_reactor(cls, reactor: object) -> Splicer | None:
        """None if the kernel or the reactor does not support it: then flows continue to copy."""
        if sys.platform == "linux" and IReactorFDSet.providedBy(reactor):
            return cls(cast(IReactor, reactor))
        return None

    def take_over(
        self, there: Flow | SplicedFlow, back: Flow | SplicedFlow
    ) -> tuple[Flow | SplicedFlow, Flow | SplicedFlow]:
        """
        Let the kernel do what two flows did so far; the second one has the opposite direction of
        the first.

        For the protocols of both transports nothing changes, except that they get no more data: the
        end of reading and a loss are reported to them as before.

        :return: the replacement of each: the flow itself when it has ended, and both when they must
            continue to copy, because something inspects one of them, or they are not between two
            plain sockets.
        """
        if not (isinstance(there, Flow) and isinstance(back, Flow)):
            return there, back
        first, second = there.source, there.sink
        if there.tap or back.tap or not (is_plain(first) and is_plain(second)):
            return there, back
        directions = [there.ended, back.ended].count(False)
        one, other = self.descriptor_of(first, directions), self.descriptor_of(second, directions)
        try:
            one.want(0)
            other.want(0)
        except OSError:  # no descriptor left for an epoll
            one.forget()
            other.forget()
            return there, back
        return (
            there if there.ended else SplicedFlow(self, there, first, second, one, other),
            back if back.ended else SplicedFlow(self, back, second, first, other, one),
        )

    def descriptor_of(self, transport: Connection, directions: int = 2) -> Descriptor:
        """The socket of a transport, which is notified of its loss."""

        def lost(error: OSError) -> None:
            # If the connection works and the error is our own, the other side must see a reset.
            is_dead = isinstance(error, (ConnectionError, TimeoutError))
            reason = CONNECTION_LOST if is_dead else ConnectionAborted()
            self._keep_number(transport)
            transport.connectionLost(Failure(reason))

        return Descriptor(self.watcher, transport.getHandle(), lost, directions)

    def splice(
        self,
        source: Descriptor,
        sink: Descriptor,
        ended: Callable[[], object],
        count: int = 0,
        limit: Limit | None = None,
    ) -> Splice:
        return Splice(self.watcher, self.pipes, self.batching, source, sink, ended, count, limit)

    def _keep_number(self, transport: Connection) -> None:
        """
        Keep the number of the descriptor in use until this turn ends. The reactor may still have an
        event for it, and would deliver that to a new connection with the same number.
        """
        sock = transport.socket
        with suppress(OSError):  # no descriptor left
            transport.socket = sock.dup()
            self.reactor.callLater(0, sock.close)


def is_plain(transport: object) -> TypeGuard[Connection]:
    """Whether the socket of ``transport`` sends exactly the bytes that are written to it."""
    return isinstance(transport, Connection) and not transport.TLS


class SplicedFlow:
    """
    One direction between two transports, which replaces a :class:`rdv._flows.flow.Flow`.

    :ivar ended: whether the source has ended.
    """

    __slots__ = (
        "_before",
        "_call",
        "_flush",
        "_limit",
        "_sink",
        "_sink_end",
        "_source",
        "_source_end",
        "_splice",
        "_splicer",
        "ended",
    )

    def __init__(
        self,
        splicer: Splicer,
        flow: Flow,
        source: Connection,
        sink: Connection,
        source_end: Descriptor,
        sink_end: Descriptor,
    ) -> None:
        flow.detach()
        self._splicer = splicer
        self._source = source
        self._sink = sink
        self._source_end = source_end
        self._sink_end = sink_end
        self._before = flow.count
        self._limit = flow.limit
        self._splice: Splice | None = None
        self._flush: Flush | None = None
        self.ended = False
        source.pauseProducing()
        # An event that the reactor has already found in this turn may still be delivered.
        self._call: IDelayedCall | None = splicer.reactor.callLater(0, self._wait)

    @property
    def count(self) -> int:
        """Bytes moved, including those before this took over."""
        return self._before if self._splice is None else self._splice.count

    @property
    def active(self) -> float:
        """The time of the last piece; 0 before the kernel has moved any."""
        return 0.0 if self._splice is None else self._splice.active

    def write(self, data: bytes) -> None:
        """Copy data that the source's transport has read before the kernel took over."""
        self._before += len(data)
        self._sink.write(data)

    def _wait(self) -> None:
        self._call = None
        self._flush = Flush(self._sink, self._begin)

    def _begin(self) -> None:
        self._flush = None
        if self._source.connected:  # not while its loss is handled, which may flush the sink
            self._splice = self._splicer.splice(
                self._source_end,
                self._sink_end,
                partial(self._source.readConnectionLost, _DONE),  # no method of ours: a cycle
                self._before,
                self._limit,
            )

    def end(self) -> None:
        """The source has ended, and all its data is written: end the sink too."""
        if not self.ended:
            self.detach()
            self._sink.loseWriteConnection()

    def detach(self) -> None:
        """Stop moving data, and drop what is held."""
        if self.ended:
            return
        self.ended = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._flush is not None:
            self._flush.cancel()
        if self._splice is not None:
            self._splice.stop()
        self._source_end.leave()
        self._sink_end.leave()
