"""
The PROXY header in front of a connection, however it arrives and whatever it says of the client.

Twisted reads it (``haproxy:`` endpoints), with three limits, as of 26.10: the first segment has to
be 8 bytes long with version 1, and 16 with version 2; ``PROXY UNKNOWN`` with nothing behind it is
taken for a mistake; and where the header does not name a client, the proxy is taken for it. So its
wrapper gets whole headers here, in the way that it understands, and says who is not known.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import implementer

from rdv.errors import ProtocolError

__all__ = ["PREFIX", "header_size", "names_nobody", "proxy_endpoint"]

#: How the descriptions of such endpoints begin.
PREFIX = "haproxy:"

_V1, _V1_UNKNOWN, _V1_LIMIT = b"PROXY ", b"PROXY UNKNOWN", 107
_V2, _V2_SIZE = b"\r\n\r\n\0\r\nQUIT\n", 16
#: Whom a connection comes from when nobody says it: what has no address.
_NOBODY = UNIXAddress(None)


def header_size(data: bytes) -> int | None:
    """
    How long the header is that ``data`` begins with; None when more of it has to come.

    :raises ProtocolError: when it is none.
    """
    if data[: len(_V2)] == _V2[: len(data)]:
        if len(data) < _V2_SIZE:
            return None
        size = _V2_SIZE + int.from_bytes(data[14:16], "big")
        return size if len(data) >= size else None
    if data[: len(_V1)] != _V1[: len(data)]:
        raise ProtocolError("no PROXY header")
    end = data.find(b"\r\n", 0, _V1_LIMIT)
    if end < 0 and len(data) >= _V1_LIMIT:
        raise ProtocolError("a PROXY header without an end")
    return None if end < 0 else end + 2


def names_nobody(header: bytes) -> bool:
    """Whether a whole header says that the client is not known, or is the proxy itself."""
    if header.startswith(_V1):
        return header.split(None, 2)[1:2] == [b"UNKNOWN"]
    is_local = not header[12] & 0x0F
    return is_local or not header[13] & 0xF0 or not header[13] & 0x0F


def proxy_endpoint(reactor: object, description: str) -> IStreamServerEndpoint:
    """
    What ``serverFromString`` makes of a description that begins with :data:`PREFIX`, but for the
    limits above.

    :raises Exception: as ``serverFromString`` does.
    """
    from twisted.protocols.haproxy import proxyEndpoint  # only who is behind a proxy needs it

    below = serverFromString(reactor, description.removeprefix(PREFIX))
    endpoint: IStreamServerEndpoint = proxyEndpoint(_Patient(below))
    return endpoint


@implementer(IStreamServerEndpoint)
class _Patient:
    """Where Twisted's wrapper listens: it lets it have whole headers."""

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        self._endpoint = endpoint

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        wrapping: Any = factory
        make = wrapping.protocol

        def make_patient(of: WrappingFactory[Any], protocol: IProtocol) -> ProtocolWrapper:
            wrapper: ProtocolWrapper = make(of, protocol)
            _Header(wrapper)
            return wrapper

        wrapping.protocol = make_patient
        wrapping.noisy = False
        listening: Deferred[IListeningPort] = self._endpoint.listen(factory)
        return listening


class _Header:
    """Collects what a wrapper receives until the header is whole, and leaves it then as it was."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._data = b""
        # In front of its methods, and not in a class of its own: who hands connections on has to
        # know the class of a wrapper.
        wrapper.dataReceived = self._received
        wrapper.getPeer = _nobody

    def _received(self, data: bytes) -> None:
        self._data += data
        wrapper = self._wrapper
        try:
            size = header_size(self._data)
            if size is None:
                return
            header, rest = self._data[:size], self._data[size:]
            del wrapper.dataReceived, self._wrapper
            if not names_nobody(header):
                del wrapper.getPeer
            elif header.startswith(_V1):
                header = _V1_UNKNOWN + b" \r\n"
            wrapper.dataReceived(header)
        except (ProtocolError, ValueError):  # Twisted does not catch all of its own
            wrapper.dataReceived = _drop
            wrapper.loseConnection()
            return
        if not wrapper.disconnecting:  # it has liked it
            wrapper.dataReceived(rest)


def _drop(data: bytes) -> None:
    """What comes behind a header that is none."""


def _nobody() -> IAddress:
    return _NOBODY
