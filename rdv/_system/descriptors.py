"""
How many descriptors this process may have, and which of them are reserved.

The system gives a new descriptor the lowest free number. The number of a client's socket therefore
shows, without counting, how near the process is to its limit, whatever uses the descriptors: the
last few hundred numbers are *reserved*, and no connection that would stay may keep one. The server
checks this before it detaches the request (``rdv.server.descriptors``), so the refusal is plain
HTTP. The reserve works as long as all short-lived connections fit into it, and most of these are
connections whose request has not arrived yet. A standalone server (``rdv.server.site``) therefore
drops connections that are not clients before the reserve is used, slows its ports down when it is,
and stops them when half of it is in use: the kernel's queue is the better place to wait. All other
code that opens descriptors in a server must leave the reserve alone, and do without a descriptor
that has one of its numbers (:func:`first_reserved`).
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys

from twisted.logger import Logger

__all__ = ["first_reserved", "in_use", "limit", "lowest_free", "raise_limit", "reserve"]

log = Logger()

#: An eighth of the limit is reserved, but at least the first and at most the second of these, and
#: never more than half.
_RESERVE = (64, 512)
#: What ``select`` can watch, the FD_SETSIZE of every system in use.
_SELECT = 1024
#: The maximum on macOS, whose hard limit may be "unlimited", which cannot be set.
_OPEN_MAX = 10240
#: Below this, a busy server is likely to reach its limit.
_FEW = 4096


def limit() -> int:
    """How many descriptors the process may have: all their numbers are below this."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def reserve() -> int:
    """
    How many descriptors are reserved for short-lived connections, most of which are about to be
    refused. Connections that may stay for long do not get them.
    """
    return _part_of(limit())


def first_reserved() -> int:
    """The lowest reserved number."""
    number = limit()
    return number - _part_of(number)


def _part_of(number: int) -> int:
    least, most = _RESERVE
    return min(max(number // 8, least), most, number // 2)


def in_use() -> int | None:
    """How many descriptors this process has open; None if the system does not report it."""
    # Since Linux 6.2 the directory's size is their number. Listing it takes 10 ms for 15,000.
    with contextlib.suppress(OSError):
        count = os.stat("/proc/self/fd").st_size
        if count:
            return count
    try:
        return len(os.listdir("/dev/fd")) - 1
    except OSError:
        return None


def lowest_free(fd: int) -> int:
    """
    The number that the next descriptor will get, or the limit if there is none left.

    :param fd: any open descriptor.
    """
    try:
        found = os.dup(fd)
    except OSError:
        return limit()
    os.close(found)
    return found


def raise_limit(reactor: object) -> int:
    """
    Raise the limit to as many descriptors as the system allows and ``reactor`` can watch. For our
    own programs: a library should not change the limits of its process.

    :return: the new limit.
    """
    # Imported late, because only servers need it.
    from twisted.internet.selectreactor import SelectReactor

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # This reactor drops any connection whose descriptor it cannot watch.
    wanted = (_SELECT,) if isinstance(reactor, SelectReactor) else (hard, max(_OPEN_MAX, soft))
    for number in wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
            break
    tell = log.warn if limit() < _FEW else log.info
    number = limit()
    tell("up to {limit} open files, {room} for clients", limit=number, room=first_reserved())
    return number
