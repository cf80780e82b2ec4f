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
    Take away what a process has left that is no more, if there is anything.

    :raises OSError: when it is no socket, or another process is listening there.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "the file exists and is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        # A socket whose queue is full must not make us wait; it is live.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:
            raise OSError(errno.EADDRINUSE, "another process is listening there") from None
        else:
            raise OSError(errno.EADDRINUSE, "another process is listening there")
