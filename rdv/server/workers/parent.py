"""
A server of several processes with one set of ports. This is the parent: it opens the ports, and
manages its crew of workers. It serves no clients itself.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from socket import socket
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import Site

from rdv._observer import OneShotObserver
from rdv.errors import RdvError
from rdv.server.access.hook import load_hook
from rdv.server.access.making import ServerDoor
from rdv.server.accounting.metrics import Sample
from rdv.server.generations.generation import Generation
from rdv.server.generations.heritage import Heritage
from rdv.server.lifecycle.reloading import Reload, reload_all
from rdv.server.lifecycle.supervision import Condition
from rdv.server.site.admin.making import make_admin
from rdv.server.site.certificate import make_certificate
from rdv.server.site.certificate_watch import CertificateWatch
from rdv.server.site.listening import listen, resolved, server_endpoints
from rdv.server.site.signals import ServerSignals
from rdv.server.workers.crew import Crew
from rdv.server.workers.orders import ABORT, DRAIN, RELOAD, STATISTICS, encode_settings
from rdv.server.workers.polling import Polling
from rdv.settings import ServerSettings

__all__ = ["WorkersService"]

log = Logger()


class WorkersService(Service):
    """
    Like :class:`rdv.server.site.service.RendezvousService`, but with several processes.

    :param count: the number of workers.
    :param level: the name of the lowest level that they log.
    :param handle_signals: see :class:`rdv.server.site.service.RendezvousService`.
    :param heritage: likewise.
    :ivar ports: the listening ports, once it runs.
    :ivar ready: fires when all workers serve; fails with an :class:`RdvError` when one cannot.
    :ivar polling: collects the workers' counters.
    :ivar failed: fails with an :class:`RdvError` when later no worker is left and none can be
        started.
    :ivar reloads: called for a reload of this process; the workers have their own lists.
    :ivar certificate: their certificate, if they listen for TLS.
    :ivar generation: this process and its workers as one of several generations.
    :ivar replaced: each is called with the process of the next generation as soon as it serves.
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
        heritage: Heritage | None = None,
    ) -> None:
        self._reactor = reactor
        self._count = count
        self._level = level
        heritage = heritage or Heritage()
        self.generation = Generation(
            reactor, heritage, settings.pid_file, self._hand_over, accepting=False
        )
        self.replaced = self.generation.replaced
        self._signals = ServerSignals(
            reactor, handle_signals, self._signalled, self.reload, self.generation.replace
        )
        # Mistakes in these are reported here, once, instead of by each worker.
        self._door = ServerDoor(reactor, settings)
        if settings.serve:
            load_hook(settings.serve)
        # Read now: a process that starts as root may run as another user later.
        self.certificate = make_certificate(settings)
        self._watch = CertificateWatch(reactor, self.certificate)
        self.reloads: list[Reload] = [self.certificate.reload] if self.certificate else []
        self._listeners = self.generation.listeners
        self._endpoints = server_endpoints(self._listeners, settings, self.certificate)
        self._settings = resolved(settings)
        self._crew: Crew | None = None
        self._sample: Sample = {}
        self.polling = Polling(reactor, partial(self._tell, STATISTICS), self._serving, count)
        self._admin = make_admin(reactor, settings, self.polling.sample, self.certificate)
        self._stopping = False
        self._stopped: OneShotObserver[None] = OneShotObserver()
        self.ports: list[IListeningPort] = []
        self.ready: Deferred[None] = Deferred()
        self.failed: Deferred[None] = Deferred()

    def privilegedStartService(self) -> None:
        """
        Open all ports.

        :raises RdvError: when one cannot be opened, or cannot be shared.
        """
        self._signals.take_others()
        self.generation.begin()
        self._crew = Crew(
            self._reactor,
            self._settings,
            self._count,
            self._level,
            self.generation,
            self.certificate,
            self.polling,
            self._cannot_go_on,
        )
        site = Site(Resource())  # never used: this process accepts no connections
        site.noisy = False
        self.ports = listen(self._endpoints, site)
        if self._admin is not None:
            self._admin.start(patient=self.generation.is_successor)

    def startService(self) -> None:
        """See :class:`IService`. ``twist`` calls nothing else."""
        if not self.ports:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]
        self._watch.start()
        self._reactor.callWhenRunning(self._run)

    def stopService(self) -> Deferred[None]:
        """
        See :class:`IService`: fires when the ports are closed, and all workers have ended, each
        like a server with one process.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        self._watch.stop()
        return self._stop().addCallback(lambda _: self._admin and self._admin.stop())

    def reload(self) -> None:
        """See :meth:`rdv.server.site.service.RendezvousService.reload`; workers reload, too."""
        reload_all(self.reloads)
        self._tell(RELOAD)

    def use(self, settings: ServerSettings) -> None:
        """See :meth:`rdv.server.site.service.RendezvousService.use`; workers do with RELOAD."""
        self._door.use(settings)
        places = self._settings
        self._settings = replace(settings, listen=places.listen, tls=places.tls)
        if self._crew is not None:
            self._crew.settings = self._settings
            self._crew.tell(encode_settings(self._settings))

    def condition(self) -> Condition:
        """See :class:`Supervised`. The numbers are from the workers' last answers."""
        self.polling.sample().addCallback(self._note)
        waiting, pairs, serving = (
            int(sum(self._sample.get(name, {}).values()))
            for name in ("rdv_clients_waiting", "rdv_pairs", "rdv_worker_up")
        )
        if not self._sample:
            serving = self._count
        text = f"{waiting} waiting, {pairs} pairs; {serving} of {self._count} workers serving"
        return Condition(text, serving == self._count, self._stopping)

    def _note(self, sample: Sample) -> None:
        self._sample = sample

    def _serving(self) -> list[int]:
        return [] if self._crew is None else self._crew.serving

    def _run(self) -> None:
        self._signals.take_all()
        if self._crew is not None:
            self._crew.ready.addCallback(self._serve)
            self._crew.start()

    def _serve(self, _: object) -> None:
        self.generation.serve()
        if self._admin is not None:
            self.polling.start()
        self.ready.callback(None)

    def _hand_over(self, outbox: socket) -> None:
        if self._stopping or self._crew is None:
            return
        self._watch.stop()
        self.polling.stop()
        if self._admin is not None:
            self._admin.stop()
        drain = self._settings.drain_replaced
        log.info("replaced: stopping {workers} workers", workers=self._count)
        over = [self._crew.hand_over(drain), self._listeners.close(for_others=True)]
        gatherResults(over).addCallback(lambda _: self._reactor.stop())

    def _cannot_go_on(self, error: RdvError) -> None:
        self._stop()
        (self.failed if self.ready.called else self.ready).errback(error)

    def _signalled(self, name: str) -> None:
        if self._stopping:
            log.info("{name} again: cutting the remaining connections", name=name)
            self._tell(ABORT)
            return
        log.info("{name}: stopping {workers} workers", name=name, workers=self._count)
        stopped = self._stop()
        if not self.generation.is_replaced:  # otherwise handing over stops it
            stopped.addCallback(lambda _: self._reactor.stop())

    def _tell(self, command: bytes) -> None:
        if self._crew is not None:
            self._crew.tell(command)

    def _stop(self) -> Deferred[None]:
        if not self._stopping:
            self._stopping = True
            self.generation.end()
            # The parent closes its sockets first: the last process that has a socket accepts the
            # clients in its queue, which only workers can do.
            stopped: list[Deferred[Any]] = [self._listeners.close()]
            if self._crew is not None:
                stopped.append(self._crew.stop(DRAIN, self._settings.drain))
            over = gatherResults(stopped).addCallback(lambda _: self.polling.stop())
            over.addCallback(lambda _: self._stopped.fire(None))
        return self._stopped.when_fired()
