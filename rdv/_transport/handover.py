"""
Taking a transport from one protocol and giving it to another.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    ITransport,
)
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import alsoProvides, directlyProvidedBy, noLongerProvides

__all__ = [
    "hand_over",
    "receive_from",
]


def hand_over(transport: ITransport, protocol: IProtocol) -> None:
    """
    Make ``protocol`` the one that gets what ``transport`` receives, and connect it.

    Its ``transport`` may be another object than the one given: TLS gets a half-close here. The
    protocol that had the transport before gets no further call from it.
    """
    # Late, so that whoever has no TLS does not load it.
    from twisted.protocols.tls import TLSMemoryBIOProtocol

    from rdv._transport.tls import HalfCloseTLS

    # Down through wrappers such as TLS, PROXY headers and timeouts, to the TCP connection.
    top, receiver, current = transport, protocol, transport
    while True:
        if isinstance(current, TLSMemoryBIOProtocol):
            tls, below = HalfCloseTLS.take_over(current, receiver), current.transport
            if receiver is protocol:
                top = tls
            else:
                cast(Any, receiver).transport = tls
            receiver, current = tls, cast(ITransport, below)
        receive_from(current, receiver)
        if not isinstance(current, ProtocolWrapper):
            break
        receiver, current = current, cast(ITransport, current.transport)
    protocol.makeConnection(top)


def receive_from(transport: ITransport, protocol: IProtocol) -> None:
    """Point what ``transport`` receives at ``protocol``, without connecting it."""
    receiver: Any = transport
    if not isinstance(transport, ProtocolWrapper):
        receiver.protocol = protocol
        return
    receiver.wrappedProtocol = protocol
    # A wrapper, as that of ``haproxy:`` endpoints, does not pass the half-close on by itself.
    if IHalfCloseableProtocol.providedBy(protocol):
        receiver.readConnectionLost = protocol.readConnectionLost
        receiver.writeConnectionLost = protocol.writeConnectionLost
        alsoProvides(receiver, IHalfCloseableProtocol)
    elif IHalfCloseableProtocol in directlyProvidedBy(receiver):
        noLongerProvides(receiver, IHalfCloseableProtocol)
