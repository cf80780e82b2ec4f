"""
The interface of a client, for code that makes connections with one.
"""

from __future__ import annotations

from typing import Protocol, Unpack

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from rdv._secure.secret import Token
from rdv.client.http.request import RequestOptions
from rdv.client.servers.urls import Servers
from rdv.client.stream.connection import Connection
from rdv.client.trace import Trace

__all__ = ["IClient"]


class IClient(Protocol):
    """
    A :class:`rdv.client.Client`, or a test double for one.

    :ivar clock: the clock of its attempts.
    """

    @property
    def clock(self) -> IReactorTime: ...

    def dial(
        self,
        url: Servers,
        token: Token,
        *,
        timeout: float | None = 60.0,
        trace: Trace | None = None,
        secure: bool | None = None,
        **options: Unpack[RequestOptions],
    ) -> Deferred[Connection]:
        """See :meth:`rdv.client.Client.dial`."""

    def accept(
        self,
        url: Servers,
        token: Token,
        *,
        timeout: float | None = None,
        trace: Trace | None = None,
        secure: bool | None = None,
        **options: Unpack[RequestOptions],
    ) -> Deferred[Connection]:
        """See :meth:`rdv.client.Client.accept`."""
