"""
Accepting at several servers under one token.

Unlike a single peer (:mod:`rdv.client.servers.several`), a service with many dialers cannot agree
on a server with each of them: it has a :class:`Listener` at each server from the start. A dialer
therefore finds it at the first server that the dialer reaches, whichever that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.python.failure import Failure

from rdv._observer import OneShotObserver
from rdv._secure.secret import Token
from rdv.client.http.request import RequestOptions
from rdv.client.iclient import IClient
from rdv.client.stream.connection import Connection
from rdv.endpoints.listener import Listener, Trouble
from rdv.endpoints.retry import harmless
from rdv.errors import RdvError

__all__ = ["Listeners"]


class Listeners:
    """
    Like one :class:`Listener`. Trouble means that peers cannot reach us at any of the servers; a
    problem with a single server is logged by that server's own listener.

    :param urls: of the servers.
    """

    def __init__(
        self,
        client: IClient,
        urls: Sequence[str],
        token: Token,
        options: RequestOptions,
        deliver: Callable[[Connection], object],
        trouble: Trouble | None = None,
    ) -> None:
        self._tell = harmless(trouble)
        self._listeners = [
            Listener(client, url, token, options, deliver, partial(self._news, url)) for url in urls
        ]
        self._urls = set(urls)
        self._out: set[str] = set()  # where peers cannot reach us
        self._in_trouble = False
        self._failures = self._given_up = 0
        self.waiting: OneShotObserver[None] = OneShotObserver()
        self.stopped: OneShotObserver[None] = OneShotObserver()
        self.closed: OneShotObserver[None] = OneShotObserver()
        for url, listener in zip(urls, self._listeners, strict=True):
            listener.waiting.when_fired().addCallbacks(self.waiting.fire, self._fails_at_first)
            listener.stopped.when_fired().addErrback(partial(self._gives_up, url))
        closed = gatherResults([each.closed.when_fired() for each in self._listeners])
        closed.addCallback(lambda _: self._close())

    def start(self) -> None:
        """Begin. Once only."""
        for listener in self._listeners:
            listener.start()

    def stop(self) -> Deferred[None]:
        """See :meth:`Listener.stop`."""
        for listener in self._listeners:
            listener.stop()
        return self.closed.when_fired()

    def _fails_at_first(self, failure: Failure) -> None:
        self._failures += 1
        if self._failures == len(self._listeners):
            self.waiting.fire(failure)

    def _gives_up(self, url: str, failure: Failure) -> None:
        self._given_up += 1
        if self._given_up == len(self._listeners):
            self.stopped.fire(failure)
        elif failure.check(RdvError):
            self._is_out(url, failure.value)

    def _news(self, url: str, error: RdvError | None) -> None:
        if error is not None:
            self._is_out(url, error)
            return
        self._out.discard(url)
        self.waiting.fire(None)
        if self._in_trouble:
            self._in_trouble = False
            self._tell(None)

    def _is_out(self, url: str, error: Any) -> None:
        self._out.add(url)
        if self._out == self._urls and not self._in_trouble:
            self._in_trouble = True
            self._tell(error)

    def _close(self) -> None:
        self.waiting.fire(Failure(CancelledError()))
        self.stopped.fire(None)
        self.closed.fire(None)
