"""
A response that was read by an ``IAgent`` of ours.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

__all__ = ["Response"]


@implementer(IResponse)
class Response:
    """
    :param body: all that there is of it.
    :param deliver: hands over the connection of a 101.
    """

    version = (b"HTTP", 1, 1)
    length = UNKNOWN_LENGTH
    request = None
    previousResponse = None

    def __init__(
        self,
        code: int,
        phrase: bytes,
        headers: Headers,
        body: bytes,
        deliver: Callable[[IProtocol], None],
    ) -> None:
        self._body = body
        self._deliver = deliver
        self.code = code
        self.phrase = phrase
        self.headers = headers

    def deliverBody(self, protocol: IProtocol) -> None:
        """See :class:`IResponse`; for a 101, hand over the connection."""
        if self.code == 101:
            self._deliver(protocol)
            return
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))

    def setPreviousResponse(self, response: IResponse) -> None:
        """See :class:`IResponse`: there are no redirects here."""
