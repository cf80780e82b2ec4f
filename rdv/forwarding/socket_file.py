"""
Listening on a Unix socket, and what becomes of its file.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory
from twisted.python.failure import Failure

from rdv._system.socket_files import remove_stale

__all__ = ["SocketFile"]


class SocketFile(unix.Port):
    """
    A Unix socket that only this user may connect to.

    The file that a process has left which is no more is replaced. One at which somebody listens is
    not, and what is no socket is not touched. At the end the file is removed, if it is still ours.
    """

    def __init__(
        self, path: str, factory: IProtocolFactory, backlog: int = 50, *, reactor: Any = None
    ) -> None:
        super().__init__(os.fsencode(path), factory, backlog, mode=0o600, reactor=reactor)
        self._path = path
        self._ours: tuple[int, int] | None = None

    def startListening(self) -> None:
        """
        See :class:`IListeningPort`.

        :raises CannotListenError: when the path is taken, or not possible.
        """
        try:
            remove_stale(self._path)
            super().startListening()  # type: ignore[no-untyped-call]
            self._ours = _identity(self._path)
        except OSError as error:
            raise CannotListenError(None, self._path, error) from error

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IReadDescriptor`: it is over."""
        # Not what the class above does: it would never end if the file had gone.
        if self._ours is not None and _identity(self._path) == self._ours:
            os.unlink(self._path)
        tcp.Port.connectionLost(self, reason)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
