"""
A server of several processes with one set of ports. This is the parent: it opens the ports, starts
the workers, starts them again when they die, and stops them. It serves nobody itself.
"""

from __future__ import annotations

import os
from functools import partial
from socket import socket
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
)
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import Site

from rdv._awaiting import is_asyncio
from rdv._observer import OneShotObserver
from rdv.errors import ProtocolError, RdvError
from rdv.server.access import make_door
from rdv.server.access.hook import load_hook
from rdv.server.inheritance import first_number
from rdv.server.limits.memory import Memory
from rdv.server.metrics import Sample
from rdv.server.reloading import Reload, reload_all
from rdv.server.site.admin.service import make_admin
from rdv.server.site.certificate import make_certificate
from rdv.server.site.certificate_watch import CertificateWatch
from rdv.server.site.listeners import Listeners
from rdv.server.site.listening import listen, resolved, server_endpoints
from rdv.server.site.signals import ServerSignals
from rdv.server.supervision import Condition
from rdv.server.workers.child import Child
from rdv.server.workers.key_pipe import pem_for_child
from rdv.server.workers.passing import SHUTTING_DOWN, inbox_pair, receive, refuse
from rdv.server.workers.polling import Polling
from rdv.server.workers.worker import ABORT, DRAIN, RELOAD, STATISTICS, Start
from rdv.settings import ServerSettings

__all__ = ["WorkersService"]

log = Logger()

#: Seconds from one start of a worker to its next.
_PAUSE = 1.0
#: Seconds beyond the drain time after which a worker that has not ended is killed.
_PATIENCE = 10.0


class WorkersService(Service):
    """
    What :class:`rdv.server.site.service.RendezvousService` is with one process, with several.

    :param count: how many workers.
    :param level: the name of the lowest level that they log.
    :param handle_signals: as there.
    :ivar ports: the listening ports, once it runs.
    :ivar ready: fires when all workers serve; fails with an :class:`RdvError` when one cannot.
    :ivar polling: what the workers count.
    :ivar reloads: what this process reads anew; the workers have lists of their own.
    :ivar certificate: their certificate, if they listen for TLS.
    :raises RdvError: when an endpoint string cannot be understood, or a file that the workers need
        cannot be read.
    """

    def __init__(
        self,
        reactor: Any,
        settings: ServerSettings,
        count: int,
        *,
        level: str = "info",
        handle_signals: bool = False,
    ) -> None:
        self._reactor = reactor
        self._count = count
        self._level = level
        self._signals: ServerSignals | None = None
        if handle_signals:
            self._signals = ServerSignals(reactor, self._signalled, {"SIGHUP": self.reload})
        # What is wrong with these is told here, and once.
        make_door(reactor, settings, [])
        if settings.serve:
            load_hook(settings.serve)
        # Now: what starts as root may be somebody else when it runs.
        self.certificate = make_certificate(settings)
        self._watch = CertificateWatch(reactor, self.certificate)
        self.reloads: list[Reload] = [self.certificate.reload] if self.certificate else []
        self._listeners = Listeners(reactor, accepting=False)
        self._endpoints = server_endpoints(self._listeners, settings, self.certificate)
        self._settings = resolved(settings)
        self._mailboxes: list[tuple[socket, socket]] = []
        self._memory: tuple[Memory, int] | None = None  # in which workers count by address
        self._children: dict[int, Child] = {}
        self._started: dict[int, float] = {}
        self._restarts: dict[int, IDelayedCall] = {}
        self._sample: Sample = {}
        self.polling = Polling(reactor, partial(self._tell, STATISTICS), self._serving, count)
        self._admin = make_admin(reactor, settings, self.polling.sample, self.certificate)
        self._stopping = False
        self._stopped: OneShotObserver[None] = OneShotObserver()
        self._closed: Deferred[Any] = Deferred()
        self._kill_call: IDelayedCall | None = None
        self.ports: list[IListeningPort] = []
        self.ready: Deferred[None] = Deferred()

    def privilegedStartService(self) -> None:
        """
        Open all ports.

        :raises RdvError: when one cannot be had, or cannot be shared.
        """
        if self._signals is not None:
            self._signals.take_others()
        try:
            self._mailboxes = [inbox_pair() for _ in range(self._count)]
            self._memory = Memory.to_share(self._count)
        except OSError as error:
            raise RdvError(f"cannot have several workers: {error.strerror}") from error
        self.ports = listen(self._endpoints, Site(Resource()))
        if self._admin is not None:
            self._admin.start()

    def startService(self) -> None:
        """See :class:`IService`. ``twist`` calls nothing else."""
        if not self.ports:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]
        self._watch.start()
        self._reactor.callWhenRunning(self._run)

    def stopService(self) -> Deferred[None]:
        """
        See :class:`IService`: fires when all workers have ended, each in the way of a server that
        has but one process, and the ports are closed.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        self._watch.stop()
        return self._stop().addCallback(lambda _: self._admin and self._admin.stop())

    def reload(self) -> None:
        """See :meth:`rdv.server.site.service.RendezvousService.reload`; each worker does it."""
        reload_all(self.reloads)
        self._tell(RELOAD)

    def condition(self) -> Condition:
        """See :class:`rdv.server.supervision.Supervised`. It is as the workers said last time."""
        self.polling.sample().addCallback(self._note)
        waiting, pairs, serving = (
            int(sum(self._sample.get(name, {}).values()))
            for name in ("rdv_clients_waiting", "rdv_pairs", "rdv_worker_up")
        )
        if not self._sample:
            serving = self._count
        text = f"{waiting} waiting, {pairs} pairs; {serving} of {self._count} workers serve"
        return Condition(text, serving == self._count, self._stopping)

    def _note(self, sample: Sample) -> None:
        self._sample = sample

    def _run(self) -> None:
        if self._signals is not None:
            self._signals.take_ending()
        for index in range(self._count):
            self._start(index)

    # The life of a worker.

    def _start(self, index: int) -> None:
        self._restarts.pop(index, None)
        if self._stopping:
            return
        self._started[index] = self._reactor.seconds()
        names = [name for name, _ in self._listeners.named]
        ports = [number for _, number in self._listeners.named]
        passed = self._listeners.passed
        first = first_number(passed)
        start = Start(
            index, self._count, first, names, self._level, self._settings, is_asyncio(self._reactor)
        )
        outboxes = [out.fileno() for n, (_, out) in enumerate(self._mailboxes) if n != index]
        assert self._memory is not None
        inherited = [*ports, self._mailboxes[index][0].fileno(), *outboxes, self._memory[1]]
        child = Child(start, self._serves, self._ended, self.polling.answered)
        self._children[index] = child
        try:
            with pem_for_child(self.certificate) as pem:
                numbers = enumerate([*inherited, *pem], first + 1)
                child.spawn(self._reactor, dict(numbers), passed)
        except OSError as error:
            self._ended(child, f"cannot be started, {error.strerror}")

    def _serves(self, child: Child) -> None:
        log.info(
            "worker {worker} serves as process {pid}", worker=child.index, pid=child.transport.pid
        )
        if self.ready.called or len(self._children) < self._count:
            return
        if all(each.is_ready for each in self._children.values()):
            self.ready.callback(None)

    def _ended(self, child: Child, reason: str) -> None:
        index = child.index
        del self._children[index]
        self.polling.ended(index, died=self.ready.called and not self._stopping)
        if self._memory is not None:
            self._memory[0].clear(index)
        if self._stopping:
            self._refuse_left(index)
            self._check_ended()
        elif not self.ready.called:
            self._stop()
            self.ready.errback(RdvError(f"worker {index} did not start: {reason}"))
        else:
            # Its clients are lost, but those in its inbox are not: that outlasts it.
            log.critical("worker {worker} died: {reason}", worker=index, reason=reason)
            pause = max(0.0, self._started[index] + _PAUSE - self._reactor.seconds())
            self._restarts[index] = self._reactor.callLater(pause, self._start, index)

    # The end.

    def _signalled(self, name: str) -> None:
        if self._stopping:
            log.info("{name} again: cutting what is left", name=name)
            self._tell(ABORT)
            return
        log.info("{name}: stopping {workers} workers", name=name, workers=self._count)
        self._stop().addCallback(lambda _: self._reactor.stop())

    def _stop(self) -> Deferred[None]:
        if not self._stopping:
            self._stopping = True
            for call in self._restarts.values():
                call.cancel()
            # First here: the last one who has a socket answers those who are in its queue.
            self._closed = self._listeners.close()
            self._tell(DRAIN)
            patience = self._settings.drain + _PATIENCE
            self._kill_call = self._reactor.callLater(patience, self._kill)
            self._check_ended()
        return self._stopped.when_fired()

    def _serving(self) -> list[int]:
        return [index for index, child in self._children.items() if child.is_ready]

    def _tell(self, command: bytes) -> None:
        for child in self._children.values():
            child.tell(command)

    def _kill(self) -> None:
        for child in self._children.values():
            log.critical("worker {worker} does not end: killed", worker=child.index)
            child.kill()

    def _check_ended(self) -> None:
        if not self._stopping or self._children:
            return
        if self._kill_call is not None and self._kill_call.active():
            self._kill_call.cancel()
        for index, mailbox in enumerate(self._mailboxes):
            self._refuse_left(index)
            for end in mailbox:
                end.close()
        self._mailboxes = []
        if self._memory is not None:
            os.close(self._memory[1])
            self._memory = None
        self._closed.addCallback(lambda _: self._stopped.fire(None))

    def _refuse_left(self, index: int) -> None:
        """Answer those who were passed on to a worker that has ended."""
        while True:
            try:
                sock = receive(self._mailboxes[index][0])[1]
            except BlockingIOError:
                return
            except ProtocolError:
                continue
            if sock is not None:
                refuse(sock, *SHUTTING_DOWN)
