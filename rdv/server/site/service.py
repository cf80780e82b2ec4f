"""
A server as a ``twisted.application`` service: its ports, its site, and a graceful shutdown.
"""

from __future__ import annotations

from socket import socket
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from rdv.server.access.making import ServerDoor
from rdv.server.accounting.notes import note_drain
from rdv.server.generations.generation import Generation
from rdv.server.generations.heritage import Heritage
from rdv.server.lifecycle.reloading import Reload, reload_all
from rdv.server.lifecycle.supervision import Condition
from rdv.server.logs.summary import Summary
from rdv.server.passing.mailbox import Inbox
from rdv.server.passing.ways import Entrance, Exit
from rdv.server.site.admin.making import make_admin
from rdv.server.site.certificate import make_certificate
from rdv.server.site.certificate_watch import CertificateWatch
from rdv.server.site.channel import PATIENCE
from rdv.server.site.listening import listen, server_endpoints
from rdv.server.site.parts import make_rendezvous, make_site, named_ports, retune
from rdv.server.site.sampling import sample_of
from rdv.server.site.signals import ServerSignals
from rdv.settings import ServerSettings

__all__ = ["RendezvousService"]

log = Logger()


class RendezvousService(Service):
    """
    The server of ``twist rdv`` and ``rdv serve``.

    Stopping it closes the ports, refuses waiting and new clients with 503, and lets current
    transfers continue for ``settings.drain`` seconds.

    :param handle_signals: SIGINT and SIGTERM stop the reactor after that, and a second one
        immediately, with exit status 0 in both cases; SIGHUP calls all of ``reloads``; SIGUSR2
        starts a new generation, after which this one stops in the same way, but hands over its
        waiting clients; SIGUSR1 does nothing.
    :param heritage: inherited from the previous generation.
    :ivar ports: the listening ports, once it runs.
    :ivar ready: fires when it can serve clients and handle signals.
    :ivar failed: fails when it cannot serve any longer; see :class:`WorkersService`.
    :ivar reloads: each reloads something; see :data:`rdv.server.lifecycle.reloading.Reload`.
    :ivar certificate: its certificate, if it listens for TLS.
    :ivar generation: this process as one of several generations.
    :ivar replaced: each is called with the process of the next generation as soon as it serves.
    :raises BadEndpoint: when an endpoint string cannot be understood.
    :raises RdvError: when a file that it needs cannot be read.
    """

    def __init__(
        self,
        reactor: Any,
        settings: ServerSettings,
        *,
        handle_signals: bool = False,
        heritage: Heritage | None = None,
    ) -> None:
        self._reactor = reactor
        heritage = heritage or Heritage()
        self.generation = Generation(reactor, heritage, settings.pid_file, self._hand_over)
        self.replaced = self.generation.replaced
        self._signals = ServerSignals(
            reactor, handle_signals, self._signalled, self.reload, self.generation.replace
        )
        self._stopping = False
        self._settings = settings
        self.ports: list[IListeningPort] = []
        self.ready: Deferred[None] = Deferred()
        self.failed: Deferred[None] = Deferred()
        self.rendezvous = make_rendezvous(reactor, settings)
        # Read now: a process that starts as root may run as another user later.
        self.certificate = make_certificate(settings)
        self._watch = CertificateWatch(reactor, self.certificate)
        self._summary = Summary(reactor, self.rendezvous.admission)
        self._door = ServerDoor(reactor, settings)
        self.reloads: list[Reload] = [self._door.reload]
        if self.certificate is not None:
            self.reloads.append(self.certificate.reload)
        self._site = make_site(reactor, settings, self.rendezvous, self._door)
        self._admin = make_admin(
            reactor, settings, lambda: succeed(sample_of(self.rendezvous)), self.certificate
        )
        self._listeners = self.generation.listeners
        self._endpoints = server_endpoints(self._listeners, settings, self.certificate)

    def privilegedStartService(self) -> None:
        """
        Listen on all ports.

        :raises RdvError: when it cannot listen on one; :class:`BadEndpoint` when it never could.
        """
        self._signals.take_others()
        self.generation.begin()
        self.ports = listen(self._endpoints, self._site)
        self._site.serves(self.ports)
        self.rendezvous.ports = named_ports(self._settings, self.ports)
        if self._admin is not None:
            self._admin.start(patient=self.generation.is_successor)

    def startService(self) -> None:
        """See :class:`IService`. ``twist`` calls nothing else."""
        if not self.ports:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]
        self._watch.start()
        self._summary.start()
        self._reactor.callWhenRunning(self._run)

    def stopService(self) -> Deferred[Any]:
        """
        See :class:`IService`: fires when the transfers have ended or were cut.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        closed = self._close()
        return closed.addCallback(lambda _: self._admin and self._admin.stop())

    def _close(self) -> Deferred[Any]:
        self._watch.stop()
        self._summary.stop()
        self.generation.end()
        ports, self.ports = self.ports, []
        own = [port for port in ports if not self._listeners.is_passed(port)]
        # Waiting clients are refused, so that they can go elsewhere.
        closed = self.rendezvous.close(self._settings.drain)
        return gatherResults([closed, self._site.leave(own), self._listeners.close()])

    def reload(self) -> None:
        """Call all of ``reloads``. One that fails keeps its old state, and logs this."""
        reload_all(self.reloads)

    def use(self, settings: ServerSettings) -> None:
        """
        Change the settings, except those that are ``at_start``.

        :raises RdvError: when they are invalid; then nothing changes.
        """
        self._door.use(settings)
        retune(self.rendezvous, self._site, settings)
        self._settings = settings

    def condition(self) -> Condition:
        """See :class:`rdv.server.lifecycle.supervision.Supervised`."""
        text = f"{self.rendezvous.waiting} waiting, {self.rendezvous.pairs} pairs"
        return Condition(text, True, self._stopping)

    def _run(self) -> None:
        self._signals.take_all()
        inbox = self.generation.heritage.open_inbox()
        if inbox is not None:
            entrance = Entrance(self._reactor, self.rendezvous)
            Inbox(self._reactor, inbox, entrance.arrived).start()
        self.generation.serve()
        if not self.ready.called:
            self.ready.callback(None)

    def _hand_over(self, outbox: socket) -> None:
        if self._stopping:
            return
        self._watch.stop()
        self._summary.stop()
        if self._admin is not None:
            self._admin.stop()
        self.ports = []
        note_drain("replaced", self.rendezvous.pairs, self._settings.drain_replaced)
        way = Exit(self._reactor, self.rendezvous, outbox)
        over: list[Deferred[Any]] = [
            self.rendezvous.close(self._settings.drain_replaced, way.send),
            self._site.leave([], PATIENCE),
            self._listeners.close(for_others=True),
        ]
        # No clients arrive after that.
        over_at_last = gatherResults(over).addCallback(lambda _: way.emptied())
        over_at_last.addCallback(lambda _: self._reactor.stop())

    def _signalled(self, name: str) -> None:
        if self._stopping:
            log.info("{name} again: cutting the remaining connections", name=name)
            self.rendezvous.abort()
            self._site.abort()
            return
        self._stopping = True
        note_drain(name, self.rendezvous.pairs, self._settings.drain)
        closed = self._close()
        if not self.generation.is_replaced:  # otherwise handing over stops it
            closed.addCallback(lambda _: self._reactor.stop())
