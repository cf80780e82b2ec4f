"""
One worker of a server with several: a process of its own, started by
:class:`rdv.server.workers.parent.WorkersService` only.

It inherits, in the order of descriptor numbers: 0 is the command pipe, whose end means that the
parent is dead; from 3 on, there may be sockets from systemd; then the pipe for readiness and log,
the other listening sockets, its own inbox, the sending ends of the other workers' inboxes, in their
order, the shared memory with the counts by address, the sending end to the next generation, the
inbox for clients from the previous one, if there is one, and for TLS the certificate and its key.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
)

from rdv._awaiting import install_asyncio
from rdv._flows.kernel.pipes import enlarge
from rdv._flows.sources import open_source
from rdv._system.clock import use_monotonic_clock
from rdv._system.process import ignore_signals, release_signals, spare_signals
from rdv._system.verbosity import show_from
from rdv._transport.quiet import unless_quiet
from rdv.errors import RdvError
from rdv.server.access.making import ServerDoor
from rdv.server.accounting.notes import note_drain
from rdv.server.generations.listeners import Listeners
from rdv.server.lifecycle.reloading import Reload, reload_all
from rdv.server.limits.memory import Memory
from rdv.server.logs.observers import log_outlet
from rdv.server.logs.summary import Summary
from rdv.server.passing.mailbox import Inbox, Outbox
from rdv.server.passing.ways import Exit
from rdv.server.site.certificate import make_certificate
from rdv.server.site.certificate_watch import CertificateWatch
from rdv.server.site.channel import PATIENCE
from rdv.server.site.listening import listen, server_endpoints
from rdv.server.site.parts import make_rendezvous, make_site, named_ports, retune
from rdv.server.site.sampling import sample_of
from rdv.server.workers.assignment import Assignment
from rdv.server.workers.key_pipe import inherited_pem
from rdv.server.workers.orders import (
    ABORT,
    ALL_ANSWER,
    COMMANDS,
    COUNTED,
    DRAIN,
    GO,
    HAND_OVER,
    HANGING,
    PING,
    PONG,
    READY,
    RELOAD,
    START,
    STATISTICS,
    Hearing,
    Start,
)
from rdv.server.workers.polling import encode
from rdv.server.workers.reports import report

__all__ = ["main"]

#: Seconds that bridges get beyond the drain time: they end after their pairs.
_BRIDGES_LATER = 2.0


class Worker:
    """
    Serves from the command to start until the command to stop.

    :param say: reports a line to the parent, without its newline; drops it if the parent does not
        read.
    :ivar hearing: receives the commands of the parent.
    :raises RdvError: when it cannot serve.
    """

    def __init__(self, reactor: Any, start: Start, say: Callable[[str], object]) -> None:
        self._say = say
        self._reactor = reactor
        self._settings = self._wanted = start.settings
        self._workers = start.workers
        self._stopping = False
        self.hearing = Hearing(
            {
                PING: partial(say, PONG.decode()),
                GO: self._go,
                HAND_OVER: self._hand_over,
                DRAIN: self._stop,
                RELOAD: self._reload,
                ABORT: self._abort,
                STATISTICS: self._tell_counts,
                HANGING: partial(self._heard, True),
                ALL_ANSWER: partial(self._heard, False),
            },
            partial(setattr, self, "_wanted"),
        )
        ports_end = start.reports + 1 + len(start.ports)
        inbox, *rest, shared = range(ports_end, ports_end + start.workers + 1)
        memory = Memory(start.workers, start.index, shared)
        os.close(shared)  # the mapping has its own descriptor
        numbers = count(shared + 1)
        self._successor = _inherited(next(numbers))
        arrivals = next(numbers) if start.has_arrivals else None
        others = [index for index in range(start.workers) if index != start.index]
        outboxes = {
            index: Outbox(reactor, _inherited(number))
            for index, number in zip(others, rest, strict=True)
        }
        self._rendezvous = make_rendezvous(reactor, start.settings, start.workers, memory)
        self._rendezvous.worker = start.index
        self._assignment = Assignment(reactor, self._rendezvous, start.index, outboxes)
        self._inbox = Inbox(reactor, _inherited(inbox), self._assignment.arrived)
        self._door = ServerDoor(reactor, start.settings)
        self._site = make_site(reactor, start.settings, self._assignment, self._door)
        ports = range(start.reports + 1, ports_end)
        self._listeners = Listeners(reactor, zip(start.ports, ports, strict=True))
        pem = inherited_pem(next(numbers)) if start.settings.tls else None
        certificate = make_certificate(start.settings, pem)
        self._reloads: list[Reload] = [self._use, self._door.reload]
        if certificate is not None:
            self._reloads.append(certificate.reload)
        self._watch = CertificateWatch(reactor, certificate, is_quiet=True)
        self._watch.start()
        self._summary = Summary(reactor, self._rendezvous.admission)
        self._summary.start()
        self._ports = listen(
            server_endpoints(self._listeners, start.settings, certificate), self._site
        )
        for port in self._listeners.ports:
            port.stopReading()
        self._rendezvous.ports = named_ports(start.settings, self._ports)
        self._arrivals: Inbox | None = None
        if arrivals is not None:
            inherited = self._assignment.inherited
            self._arrivals = Inbox(reactor, _inherited(arrivals), inherited)
        self._inbox.start()

    def _reload(self) -> None:
        reload_all(self._reloads, LogLevel.debug)  # the parent logs it

    def _use(self) -> None:
        """
        See :meth:`rdv.server.site.service.RendezvousService.use`; the parent sent the settings.
        """
        self._door.use(self._wanted)
        retune(self._rendezvous, self._site, self._wanted, self._workers)
        self._settings = self._wanted

    def _abort(self) -> None:
        self._rendezvous.abort()
        self._assignment.abort()
        self._site.abort()

    def _tell_counts(self) -> None:
        self._say(COUNTED.decode() + encode(sample_of(self._rendezvous)))

    def _heard(self, hanging: bool) -> None:
        if self._site.health is not None:
            self._site.health.hanging = hanging

    def orphaned(self, error: OSError | None) -> None:
        """The parent is dead."""
        self._stop()

    def _go(self) -> None:
        if self._stopping:
            return
        for port in self._listeners.ports:
            port.startReading()
        self._site.serves(self._ports)
        if self._arrivals is not None:
            self._arrivals.start()

    def _stop(self) -> None:
        drain = self._settings.drain
        if not self._stopping:
            # The parent refuses those who come now: nothing here would wait for them.
            self._inbox.stop()
            self._assignment.refuse_waiting()
            ports = self._listeners.ports
            own = [port for port in ports if not self._listeners.is_passed(port)]
            over = self._end(
                "told to stop", drain, self._rendezvous.close(drain), self._site.leave(own)
            )
            over.addCallback(lambda _: self._reactor.stop())
        elif self._rendezvous.successor is not None:  # being replaced: shorten the drain
            self._rendezvous.close(drain)
            self._site.leave([])
            self._assignment.refuse_waiting()
            self._assignment.bridges.close(drain + _BRIDGES_LATER)

    def _hand_over(self) -> None:
        """The next generation serves."""
        if not self._stopping:
            drain = self._settings.drain_replaced
            way = Exit(self._reactor, self._rendezvous, self._successor)
            pairs = self._rendezvous.close(drain, way.send)
            over = self._end("replaced", drain, pairs, self._site.leave([], PATIENCE))
            # After that, clients only arrive from other workers, and the parent takes those that
            # are left.
            over.addCallback(lambda _: gatherResults([way.emptied(), self._assignment.emptied()]))
            over.addCallback(lambda _: self._reactor.stop())

    def _end(self, why: str, drain: float, *over: Deferred[None]) -> Deferred[Any]:
        self._stopping = True
        self._watch.stop()
        self._summary.stop()
        note_drain(why, self._rendezvous.pairs, drain)
        bridges = self._assignment.bridges.close(drain + _BRIDGES_LATER)
        return gatherResults([*over, self._listeners.close(for_others=True), bridges])


def _inherited(number: int) -> socket.socket:
    sock = socket.socket(fileno=number)
    sock.setblocking(False)
    return sock


def main() -> int:
    """
    Run a worker.

    :return: its exit status.
    """
    # Signals are handled by the parent, which sends commands. A terminal, or systemd, signals the
    # whole process group.
    ignore_signals()
    spare_signals()
    release_signals()
    start = Start.from_json(os.environ.pop(START))
    enlarge(start.reports)  # a burst of events, while the parent does something else
    reports = os.fdopen(start.reports, "w", buffering=1)
    level = LogLevel.levelWithName(start.level)
    show_from(start.level)
    outlet = log_outlet(reports)
    observer = FilteringLogObserver(
        FileLogObserver(outlet, lambda event: f"{report(event)}\n"),
        [unless_quiet, LogLevelFilterPredicate(defaultLogLevel=level)],
    )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)

    if start.asyncio:
        install_asyncio()
    from twisted.internet import reactor

    running: Any = reactor
    use_monotonic_clock(running)
    try:
        worker = Worker(running, start, lambda line: outlet.write(f"{line}\n"))
    except RdvError as error:
        sys.stderr.write(f"rdv: worker {start.index}: {error}\n")
        return 1
    open_source(running, COMMANDS).start(worker.hearing, worker.orphaned)
    gc.freeze()
    running.callWhenRunning(lambda: reports.write(f"{READY.decode()}\n"))
    running.run(installSignalHandlers=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
