"""
``twist rdv dial`` and ``twist rdv accept``: one end of a stream as a Twisted application service.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions

from rdv.errors import RdvError
from rdv.options import seconds

__all__ = ["AcceptOptions", "StreamOptions", "StreamService"]


class StreamOptions(UsageOptions):
    """``twist rdv dial|accept``: the options of the ``rdv`` command, for a process that logs."""

    synopsis = "[options] URL TOKEN"
    optFlags = [["relay", "r", "Only use the relay."]]
    optParameters = [
        ["timeout", None, 60.0, "Time limit for connecting, in seconds; 0: no limit.", seconds],
    ]

    def parseArgs(self, url: str, token: str) -> None:  # type: ignore[override]
        self["url"] = url
        self["token"] = token


class AcceptOptions(StreamOptions):
    """The same options, for an acceptor."""

    optParameters = [
        ["timeout", None, 0.0, "Time limit for connecting, in seconds; 0: no limit.", seconds],
    ]


class StreamService(Service):
    """One end of a stream; the reactor stops when it ends."""

    log = Logger()

    def __init__(self, reactor: Any, role: str, options: UsageOptions) -> None:
        self._reactor = reactor
        self._role = role
        self._options = options
        self._running: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._reactor.callWhenRunning(self._run)

    def _run(self) -> None:
        from rdv._stdio.stream import stream
        from rdv._system.process import open_standard_descriptors
        from rdv.addresses import AddressSpace
        from rdv.client import Client
        from rdv.endpoints.retry import keep_trying
        from rdv.wire import Role

        open_standard_descriptors()
        options = self._options
        spaces = AddressSpace.NONE if options["relay"] else AddressSpace.DEFAULT
        client = Client(self._reactor, spaces=spaces)
        role = Role.DIALER if self._role == "dial" else Role.ACCEPTOR
        connect = client.dial if role is Role.DIALER else client.accept
        url, token = options["url"], options["token"]

        trying = keep_trying(
            lambda timeout, trace: connect(url, token, timeout=timeout, trace=trace),
            self._reactor,
            role,
            token,
            options["timeout"] or None,
            tell=self._news,
        )
        connecting = Deferred.fromCoroutine(trying)
        running = Deferred.fromCoroutine(stream(self._reactor, connecting, self._tell))
        self._running = running.addErrback(self._failed)
        self._running.addCallback(lambda _: self._stop())

    def _tell(self, event: str, text: str = "", **fields: object) -> None:
        self.log.info("{text}", text=text, event=event, **fields)

    def _news(self, error: RdvError | None) -> None:
        if error is None:
            self.log.info("WAITING: for the peer")
        else:
            self.log.warn("TROUBLE: {reason}", reason=str(error))

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):  # the reactor is being stopped
            return
        self.log.error("{reason}", reason=failure.getErrorMessage())

    def _stop(self) -> None:
        if self.running:
            self._reactor.stop()

    def stopService(self) -> Deferred[None] | None:
        super().stopService()  # type: ignore[no-untyped-call]
        if self._running is not None:
            self._running.cancel()
        return None
