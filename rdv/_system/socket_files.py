"""
Names of Unix sockets in the file system, which outlast the process that listened there.
"""

from __future__ import annotations

import errno
import os
import socket
import stat

__all__ = ["remove_stale"]


def remove_stale(path: str | bytes) -> None:
    """
    Remove the socket of a process that no longer exists, if there is one.

    :raises OSError: if the file is not a socket, or another process is listening there.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "the file exists and is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        # Do not wait if the queue is full: then a process is listening.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:
            raise OSError(errno.EADDRINUSE, "another process is listening there") from None
        else:
            raise OSError(errno.EADDRINUSE, "another process is listening there")
