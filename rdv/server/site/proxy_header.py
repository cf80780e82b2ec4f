"""
The PROXY header of a connection, in any number of segments and with or without a client address.

Twisted reads it (``haproxy:`` endpoints) with three limitations, as of 26.10: the first segment
must have at least 8 bytes for version 1, and 16 for version 2; ``PROXY UNKNOWN`` with nothing after
it is rejected; and if the header does not name a client, the proxy is taken for the client. Here,
its wrapper therefore gets whole headers in a form that it understands, and reports unknown clients.
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

#: The beginning of such endpoint strings.
PREFIX = "haproxy:"

_V1, _V1_UNKNOWN, _V1_LIMIT = b"PROXY ", b"PROXY UNKNOWN", 107
_V2, _V2_SIZE = b"\r\n\r\n\0\r\nQUIT\n", 16
#: The peer of a connection whose client is unknown: an address without a host.
_NOBODY = UNIXAddress(None)


def header_size(data: bytes) -> int | None:
    """
    The length of the header at the start of ``data``; None if it is incomplete.

    :raises ProtocolError: when it is not a header.
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
    """Whether a whole header says that the client is unknown, or is the proxy itself."""
    if header.startswith(_V1):
        return header.split(None, 2)[1:2] == [b"UNKNOWN"]
    is_local = not header[12] & 0x0F
    return is_local or not header[13] & 0xF0 or not header[13] & 0x0F


def proxy_endpoint(reactor: object, description: str) -> IStreamServerEndpoint:
    """
    The endpoint that ``serverFromString`` makes from a description that starts with
    :data:`PREFIX`, without the limitations above.

    :raises Exception: as by ``serverFromString``.
    """
    from twisted.protocols.haproxy import proxyEndpoint  # only servers behind a proxy need it

    below = serverFromString(reactor, description.removeprefix(PREFIX))
    endpoint: IStreamServerEndpoint = proxyEndpoint(_Patient(below))
    return endpoint


@implementer(IStreamServerEndpoint)
class _Patient:
    """The endpoint on which Twisted's wrapper listens: the wrapper gets whole headers."""

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
    """Collects the data for a wrapper until the header is whole, and then steps aside."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._data = b""
        # These replace methods of the object, instead of a subclass: code that hands connections
        # over must recognise the class of a wrapper.
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
        except (ProtocolError, ValueError):  # Twisted does not catch all errors of its parser
            wrapper.dataReceived = _drop
            wrapper.loseConnection()
            return
        if not wrapper.disconnecting:  # it has accepted the header
            wrapper.dataReceived(rest)


def _drop(data: bytes) -> None:
    """Drop data after an invalid header."""


def _nobody() -> IAddress:
    return _NOBODY
