"""
The workers of a server, as their parent sees them: it starts each worker, restarts it when it dies
or hangs, and stops it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from socket import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from rdv._awaiting import is_asyncio
from rdv._observer import OneShotObserver
from rdv._until import wait_until
from rdv.errors import RdvError
from rdv.server.generations.generation import Generation
from rdv.server.generations.spawning import first_number
from rdv.server.limits.memory import Memory
from rdv.server.passing.mailbox import PATIENCE, Inbox, Outbox
from rdv.server.passing.message import PassedClient, inbox_pair, refuse
from rdv.server.refusals import SHUTDOWN
from rdv.server.site.certificate import ServerCertificate
from rdv.server.workers.child import Child
from rdv.server.workers.key_pipe import pem_for_child
from rdv.server.workers.orders import ALL_ANSWER, DRAIN, GO, HAND_OVER, HANGING, Start
from rdv.server.workers.polling import Polling
from rdv.settings import ServerSettings

__all__ = ["Crew"]

log = Logger()

#: Minimum seconds between two starts of a worker; doubled for each start after which it did not
#: serve, up to the second number.
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
#: How often each may fail to start while none serves.
_ATTEMPTS = 2
#: Seconds beyond the drain time after which a worker that has not ended is killed.
_PATIENCE = 10.0
#: After this many unanswered questions in a row a worker is killed; after this many the others are
#: told that it does not answer. One that is starting gets this many times as long.
_QUESTIONS, _SUSPICIOUS, _STARTING = 6, 2, 4


class Crew:
    """
    All workers.

    :param count: the number of workers.
    :param level: the name of the lowest level that they log.
    :param generation: provides the sockets from which they accept, and the channel to the next one.
    :param certificate: their certificate, if they listen for TLS.
    :param polling: gets their counters, and is notified when one ends.
    :param gave_up: called with an error if a worker cannot be started for the first time, or later
        if none serves and all have repeatedly failed to start.
    :ivar settings: the settings for workers that are started from now on.
    :ivar mailboxes: the two ends of each worker's inbox, which outlast the worker.
    :ivar memory: the memory with their counts by address, and its descriptor.
    :ivar ready: fires when all of them serve.
    :raises RdvError: when the system does not support the inboxes or the shared memory.
    """

    def __init__(
        self,
        reactor: Any,
        settings: ServerSettings,
        count: int,
        level: str,
        generation: Generation,
        certificate: ServerCertificate | None,
        polling: Polling,
        gave_up: Callable[[RdvError], object],
    ) -> None:
        self._reactor = reactor
        self.settings = settings
        self._level = level
        self._generation = generation
        self._certificate = certificate
        self._polling = polling
        self._gave_up = gave_up
        self._children: dict[int, Child] = {}
        self._started: dict[int, float] = {}
        self._failures: dict[int, int] = dict.fromkeys(range(count), 0)
        self._restarts: dict[int, IDelayedCall] = {}
        self._is_one_silent = True
        self._question: IDelayedCall | None = None
        self._kill_call: IDelayedCall | None = None
        self._stopping = False
        self._stopped: OneShotObserver[None] = OneShotObserver()
        self.ready: Deferred[None] = Deferred()
        self.mailboxes: list[tuple[socket, socket]] = []
        self._left: dict[int, Inbox] = {}
        self._forward: Callable[[PassedClient, socket], object] = _refuse
        try:
            self._outbox = generation.outbox
            self.mailboxes = [inbox_pair() for _ in range(count)]
            self.memory = Memory.to_share(count)
        except OSError as error:
            raise RdvError(f"cannot have several workers: {error.strerror}") from error

    def start(self) -> None:
        """Start all workers."""
        for index in self._failures:
            self._start(index)
        if self.settings.worker_timeout and not self._stopping:
            self._ask_later()

    def tell(self, command: bytes) -> None:
        """Send a command to all workers."""
        for child in self._children.values():
            child.tell(command)

    def stop(self, command: bytes, drain: float) -> Deferred[None]:
        """
        Stop all workers, and restart none.

        :param command: the command to end.
        :param drain: seconds within which they should end.
        :return: fires when all have ended.
        """
        if self._stopped.fired:
            return self._stopped.when_fired()
        self._stopping = True
        for index, call in self._restarts.items():
            call.cancel()
            self._take_all_left(index)
        self._restarts.clear()
        if self._kill_call is not None and self._kill_call.active():
            self._kill_call.cancel()
        self._kill_call = self._reactor.callLater(drain + _PATIENCE, self._kill)
        self.tell(command)
        if command == DRAIN:  # then workers leave their inboxes to us
            for index in self._children:
                self._take_all_left(index)
        self._check_ended()
        return self._stopped.when_fired()

    def hand_over(self, drain: float) -> Deferred[None]:
        """Stop, because the next generation serves: it gets the waiting clients."""
        left = Outbox(self._reactor, self._outbox)
        self._forward = left.send
        stopped = self.stop(HAND_OVER, drain)
        return stopped.addCallback(
            lambda _: wait_until(self._reactor, lambda: not len(left), 2 * PATIENCE)
        )

    # Starting and restarting workers.

    def _start(self, index: int) -> None:
        self._restarts.pop(index, None)
        if self._stopping:
            return
        self._started[index] = self._reactor.seconds()
        listeners, arrivals = self._generation.listeners, self._generation.heritage.inbox
        first = first_number(listeners.passed)
        names = [name for name, _ in listeners.named]
        start = Start(
            index,
            len(self._failures),
            first,
            names,
            self._level,
            self.settings,
            is_asyncio(self._reactor),
            has_arrivals=arrivals is not None,
        )
        inherited = [
            *(number for _, number in listeners.named),
            self.mailboxes[index][0].fileno(),
            *(out.fileno() for n, (_, out) in enumerate(self.mailboxes) if n != index),
            self.memory[1],
            self._outbox.fileno(),
            *([] if arrivals is None else [arrivals]),
        ]
        child = Child(start, self._serves, self._ended, self._polling.answered)
        self._children[index] = child
        try:
            with pem_for_child(self._certificate) as pem:
                numbers = enumerate([*inherited, *pem], first + 1)
                child.spawn(self._reactor, dict(numbers), listeners.passed)
        except OSError as error:
            self._ended(child, f"cannot be started, {error.strerror}")

    def _serves(self, child: Child) -> None:
        log.info(
            "worker {worker} serves as process {pid}",
            worker=child.index,
            pid=child.transport.pid,
        )
        self._failures[child.index] = 0
        child.tell(HANGING if self._is_one_silent else ALL_ANSWER)
        self._look_for_silence()
        if self.ready.called:
            child.tell(GO)
        elif self._all_serve():
            self.tell(GO)
            self.ready.callback(None)

    def _all_serve(self) -> bool:
        return len(self.serving) == len(self._failures)

    @property
    def serving(self) -> list[int]:
        """The workers that serve."""
        return [index for index, child in self._children.items() if child.is_ready]

    def _ended(self, child: Child, reason: str) -> None:
        index = child.index
        del self._children[index]
        self._polling.ended(index, died=self.ready.called and not self._stopping)
        self.memory[0].clear(index)
        if self._stopping:
            self._take_all_left(index)
            self._check_ended()
            return
        self._look_for_silence()
        self._failures[index] += not child.is_ready
        if not self.ready.called or self._have_all_failed():
            self._gave_up(RdvError(f"worker {index} did not start: {reason}"))
            return
        # Its clients are lost, except those in its inbox, which outlasts it.
        log.critical("worker {worker} died: {reason}", worker=index, reason=reason)
        wanted = min(_PAUSE * 2 ** self._failures[index], _LONGEST_PAUSE)
        pause = max(0.0, self._started[index] + wanted - self._reactor.seconds())
        self._restarts[index] = self._reactor.callLater(pause, self._start, index)

    def _have_all_failed(self) -> bool:
        """Whether no worker serves, and none could be started the last few times."""
        return not self.serving and min(self._failures.values()) >= _ATTEMPTS

    # Checking that they are alive.

    def _ask_later(self) -> None:
        pause = self.settings.worker_timeout / _QUESTIONS
        self._question = self._reactor.callLater(pause, self._ask)

    def _ask(self) -> None:
        for child in self._children.values():
            # This counts questions instead of seconds: if the whole server was stopped for a while,
            # its workers are not taken for dead.
            if child.unanswered >= _QUESTIONS * (1 if child.is_ready else _STARTING):
                log.critical("worker {worker} does not respond: killed", worker=child.index)
                child.kill()
            else:
                child.ask()
        self._look_for_silence()
        self._ask_later()

    def _look_for_silence(self) -> None:
        """Notify the serving workers when one does not answer, or when all answer again."""
        answering = [
            child
            for child in self._children.values()
            if child.is_ready and child.unanswered <= _SUSPICIOUS
        ]
        is_one_silent = len(answering) < len(self._failures)
        if is_one_silent is not self._is_one_silent:
            self._is_one_silent = is_one_silent
            for index in self.serving:  # a new worker is told when it serves
                self._children[index].tell(HANGING if is_one_silent else ALL_ANSWER)

    # Stopping.

    def _kill(self) -> None:
        for child in self._children.values():
            log.critical("worker {worker} does not stop: killed", worker=child.index)
            child.kill()

    def _check_ended(self) -> None:
        if self._children:
            return
        for call in (self._kill_call, self._question):
            if call is not None and call.active():
                call.cancel()
        for inbox in self._left.values():
            inbox.finish()
        for mailbox in self.mailboxes:
            for end in mailbox:
                end.close()
        self.mailboxes = []
        os.close(self.memory[1])
        self._stopped.fire(None)

    def _take_all_left(self, index: int) -> None:
        """Take all clients that were passed on to a worker that takes none any more."""
        if index not in self._left:
            # A worker that is slower to stop may still send clients there.
            self._left[index] = Inbox(self._reactor, self.mailboxes[index][0], self._take_left)
            self._left[index].start()
        self._left[index].doRead()

    def _take_left(self, client: PassedClient, sock: socket) -> None:
        self._forward(client, sock)


def _refuse(client: PassedClient, sock: socket) -> None:
    refuse(sock, *SHUTDOWN)
