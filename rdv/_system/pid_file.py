"""
A file with a process number, which other processes can trust while it is locked: numbers are
reused, but locks end with the process.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from rdv.errors import RdvError

__all__ = ["PidFile", "running"]


class PidFile:
    """
    :param path: where it is, or will be.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None

    def check(self) -> None:
        """
        See whether it can be ours.

        :raises RdvError: when another process runs that has written it.
        """
        pid = running(self._path)
        if pid is not None and pid != os.getpid():
            raise RdvError(f"{self._path}: process {pid} is running")

    def write(self) -> None:
        """
        Put our number into it, in place of any other. Whoever looks sees the one or the other.

        :raises RdvError: when that cannot be.
        """
        new = f"{self._path}.{os.getpid()}"
        try:
            fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                os.write(fd, b"%d\n" % os.getpid())
                os.rename(new, self._path)
            except OSError:
                os.close(fd)
                os.unlink(new)
                raise
        except OSError as error:
            raise RdvError(f"{self._path}: {error.strerror}") from error
        if self._fd is not None:
            os.close(self._fd)
        self._fd = fd

    def remove(self) -> None:
        """Take it away, unless it is another one's by now."""
        if self._fd is None:
            return
        with suppress(OSError):  # it has gone
            if os.path.samestat(os.fstat(self._fd), os.stat(self._path)):
                os.unlink(self._path)
        os.close(self._fd)
        self._fd = None


def running(path: str) -> int | None:
    """
    The process that has written the file and still runs; None when there is none.

    :raises RdvError: when the file cannot be read, though it is there.
    """
    try:
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.readline())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RdvError(f"{path}: {error.strerror}") from error
    except ValueError:
        raise RdvError(f"{path}: not a process ID") from None
    return None
