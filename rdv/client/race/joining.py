"""
A direct candidate joins a stream that has begun on the relay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure

from rdv._secure.path import SecurePath
from rdv.client.candidates.acknowledgement import proven_within
from rdv.client.candidates.candidate import Candidate
from rdv.wire import Role

__all__ = ["Joining", "Stream", "join"]


class Stream(Protocol):
    """
    A stream that can move.

    :ivar on_ready: called when the peer is known to be live; for a dialer only.
    :ivar on_over: called when there is no data left to move.
    """

    on_ready: Callable[[], object]
    on_over: Callable[[], object]

    def join(self, path: SecurePath) -> Joining:
        """Have ``path`` take over as soon as it is proved both ways."""

    def expect_move(self) -> None:
        """A path may join soon."""

    def stay(self) -> None:
        """No path will join any more."""


class Joining(Protocol):
    """
    Gets the transport of the other path.

    :ivar proven: fires when the path takes over; errbacks when it is lost or given up before that.
        Cancelling it gives up the path of a dialer; of an acceptor, it then does not fire.
    """

    proven: Deferred[None]

    def dataReceived(self, data: bytes) -> None:
        """See :class:`IProtocol`."""


async def join(candidate: Candidate, stream: Stream, moved: Callable[[Candidate], object]) -> None:
    """
    Offer a ready candidate to the stream. Cancelling this gives up a dialer's candidate, but not an
    acceptor's: its peer decides, and may be about to use it.

    :param moved: called with it when it has taken over, for an acceptor even after a cancellation.
    :raises ConnectionLost: when it is lost before it has taken over, or the peer did not accept it
        in time. It is then closed.
    :raises ProtocolError: when it is not the peer's.
    """
    await candidate.choose()
    path = candidate.path
    assert path is not None
    joining = stream.join(path)
    proven = joining.proven.addCallback(lambda _: _call(moved, candidate))
    if candidate.role is Role.DIALER:
        proven.addTimeout(proven_within(candidate.transport), candidate.clock)
    else:
        proven = _shielded(proven)
    early = candidate.release(cast(IProtocol, joining), joins=True)
    if early:
        joining.dataReceived(early)
    try:
        await proven
    except DeferTimeoutError:
        raise ConnectionLost("the peer did not accept it in time") from None


def _call(moved: Callable[[Candidate], object], candidate: Candidate) -> None:
    moved(candidate)


def _shielded(proven: Deferred[None]) -> Deferred[None]:
    """A Deferred with the same result. Cancelling it does not cancel ``proven``."""
    waiting: Deferred[None] = Deferred()

    def pass_on(result: Failure | None) -> None:
        if not waiting.called:
            waiting.callback(result)

    proven.addBoth(pass_on)
    return waiting
