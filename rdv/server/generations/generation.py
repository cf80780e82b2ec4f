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
    What this process has got from the one before, and what becomes of that.

    :param heritage: what it has got.
    :param pid_file: where its number is to be found, if anywhere.
    :param accepting: whether it accepts itself, or leaves that to others.
    :param hand_over: called with the end to send clients to, when the next one serves.
    :ivar listeners: its sockets.
    :ivar replaced: each is called with the process of the next one when that serves.
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
        The end to send clients to, should there be a next one.

        :raises OSError: where the system has nothing like it.
        """
        return self._succession.inbox[1]

    @property
    def is_successor(self) -> bool:
        """Whether there is one before, which may still listen somewhere."""
        return self.heritage.said is not None

    @property
    def is_replaced(self) -> bool:
        """Whether there is a next one that serves."""
        return self._succession.is_over

    def begin(self) -> None:
        """
        See whether it may: before it listens.

        :raises RdvError: when the file for its number is another one's.
        """
        if self._pid_file is not None and not self.is_successor:
            self._pid_file.check()

    def serve(self) -> None:
        """It serves: whoever wants to know is told."""
        self.listeners.drop_rest()
        self._say_pid()
        self.heritage.say_ready()
        self._serves = True

    def replace(self) -> None:
        """Start the next one, if this one serves."""
        if self._serves:
            self._succession.begin()
        else:
            log.warn("not serving (yet, or any more): no new generation")

    def end(self) -> None:
        """It ends, and a next one that does not serve yet with it."""
        self._serves = False
        self._succession.cancel()
        if self._pid_file is not None:
            self._pid_file.remove()

    def _succeeded(self, pid: int) -> None:
        for tell in self.replaced:
            tell(pid)
        self._hand_over(self.outbox)

    def _lost(self) -> None:
        # The next one has ended as well: nobody else takes those who were to go there.
        inbox = self._succession.inbox[0]
        Inbox(self._reactor, inbox, lambda _, sock: refuse(sock, *SHUTDOWN)).start()

    def _say_pid(self) -> None:
        # Also when there is no next one after all: whoever waits for it sees a new file.
        if self._pid_file is not None:
            try:
                self._pid_file.write()
            except RdvError as error:
                log.critical("{reason}", reason=error)
