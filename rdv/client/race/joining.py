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

from rdv._secure.path import SecurePath
from rdv.client.acknowledgement import proven_within
from rdv.client.candidate import Candidate
from rdv.wire import Role

__all__ = ["Joining", "Stream", "join"]


class Stream(Protocol):
    """
    What can move.

    :ivar on_ready: called when the peer is known to be there; for a dialer only.
    :ivar on_over: called when there is nothing left to move.
    """

    on_ready: Callable[[], object]
    on_over: Callable[[], object]

    def join(self, path: SecurePath) -> Joining:
        """Have ``path`` take over as soon as it is proved both ways."""


class Joining(Protocol):
    """
    What gets the transport of the other path.

    :ivar proven: fires when the path takes over; errbacks when it is lost or given up before.
        Cancelling it gives the path up.
    """

    proven: Deferred[None]

    def dataReceived(self, data: bytes) -> None:
        """See :class:`IProtocol`."""


async def join(candidate: Candidate, stream: Stream) -> None:
    """
    Offer a candidate that is ready to the stream.

    :raises ConnectionLost: when it is lost before it has taken over, or the peer has not taken it
        in time. It is closed then.
    :raises ProtocolError: when it is none of the peer's.
    """
    await candidate.choose()
    path = candidate.path
    assert path is not None
    joining = stream.join(path)
    if candidate.role is Role.DIALER:
        joining.proven.addTimeout(proven_within(candidate.transport), candidate.clock)
    early = candidate.release(cast(IProtocol, joining), joins=True)
    if early:
        joining.dataReceived(early)
    try:
        await joining.proven
    except DeferTimeoutError:
        raise ConnectionLost("the peer has not taken it in time") from None
