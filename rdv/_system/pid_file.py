"""
A file with a process ID, which other processes can trust while it is locked: IDs are reused, but a
lock ends with its process.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from rdv.errors import RdvError

__all__ = ["PidFile", "running"]


class PidFile:
    """
    :param path: the path of the file; it need not exist.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None

    def check(self) -> None:
        """
        Check that the file does not belong to another process.

        :raises RdvError: if another process has written it and is running.
        """
        pid = running(self._path)
        if pid is not None and pid != os.getpid():
            raise RdvError(f"{self._path}: process {pid} is running")

    def write(self) -> None:
        """
        Write our process ID, in place of any other. Readers see either the old ID or the new one.

        :raises RdvError: if the file cannot be written.
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
        """Remove the file, unless another process has replaced it."""
        if self._fd is None:
            return
        with suppress(OSError):  # it no longer exists
            if os.path.samestat(os.fstat(self._fd), os.stat(self._path)):
                os.unlink(self._path)
        os.close(self._fd)
        self._fd = None


def running(path: str) -> int | None:
    """
    The ID of the process that has written the file, if it is still running; otherwise None.

    :raises RdvError: if the file exists but cannot be read.
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
