"""
A server process as one of several generations.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from typing import Any

from twisted.logger import Logger

from rdv._system.pid_file import PidFile
from rdv.errors import RdvError
from rdv.server.generations.heritage import Heritage
from rdv.server.generations.listeners import Listeners
from rdv.server.generations.succession import Succession
from rdv.server.passing.mailbox import Inbox
from rdv.server.passing.message import refuse
from rdv.server.refusals import SHUTDOWN

__all__ = ["Generation"]

log = Logger()


class Generation:
    """
    What this process has inherited from the previous generation, and its own replacement.

    :param heritage: what it has inherited.
    :param pid_file: the file for its process ID, if any.
    :param accepting: whether it accepts connections itself, or leaves this to other processes.
    :param hand_over: called with the sending end for clients as soon as the next generation serves.
    :ivar listeners: its sockets.
    :ivar replaced: each is called with the process of the next generation as soon as it serves.
    """

    def __init__(
        self,
        reactor: Any,
        heritage: Heritage,
        pid_file: str | None,
        hand_over: Callable[[socket], object],
        *,
        accepting: bool = True,
    ) -> None:
        self._reactor = reactor
        self.heritage = heritage
        self.listeners = Listeners(reactor, heritage.listening, accepting=accepting)
        self.replaced: list[Callable[[int], object]] = []
        self._hand_over = hand_over
        self._serves = False
        self._pid_file = None if pid_file is None else PidFile(pid_file)
        self._succession = Succession(
            reactor, self.listeners, self._succeeded, self._say_pid, self._lost
        )

    @property
    def outbox(self) -> socket:
        """
        The sending end for clients, in case there is a next generation.

        :raises OSError: when the system does not support it.
        """
        return self._succession.inbox[1]

    @property
    def is_successor(self) -> bool:
        """Whether there is a previous generation, which may still be listening."""
        return self.heritage.said is not None

    @property
    def is_replaced(self) -> bool:
        """Whether a next generation serves."""
        return self._succession.is_over

    def begin(self) -> None:
        """
        Check whether it may start, before it listens.

        :raises RdvError: when the file for its process ID belongs to another process.
        """
        if self._pid_file is not None and not self.is_successor:
            self._pid_file.check()

    def serve(self) -> None:
        """This generation serves: report it."""
        self.listeners.drop_rest()
        self._say_pid()
        self.heritage.say_ready()
        self._serves = True

    def replace(self) -> None:
        """Start the next generation, if this one serves."""
        if self._serves:
            self._succession.begin()
        else:
            log.warn("not serving (yet, or any more): no new generation")

    def end(self) -> None:
        """This generation ends, together with a next one that does not serve yet."""
        self._serves = False
        self._succession.cancel()
        if self._pid_file is not None:
            self._pid_file.remove()

    def _succeeded(self, pid: int) -> None:
        for tell in self.replaced:
            tell(pid)
        self._hand_over(self.outbox)

    def _lost(self) -> None:
        # The next one has ended as well: no process is left to serve the clients in its inbox.
        inbox = self._succession.inbox[0]
        Inbox(self._reactor, inbox, lambda _, sock: refuse(sock, *SHUTDOWN)).start()

    def _say_pid(self) -> None:
        # Also when there is no next one after all: service managers that wait for it see a new
        # file.
        if self._pid_file is not None:
            try:
                self._pid_file.write()
            except RdvError as error:
                log.critical("{reason}", reason=error)
