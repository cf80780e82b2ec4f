"""
Values on a command line, for argparse and for Twisted's options alike.
"""

from __future__ import annotations

import os

__all__ = ["forwards", "port", "seconds", "workers"]

#: More processes than this are a slip of the finger.
_MOST_WORKERS = 256
#: As is this.
_MOST_FORWARDS = 100_000


def seconds(text: str) -> float:
    """
    A length of time.

    :raises ValueError: when it is no number, negative, or without end.
    """
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError(f"not a number of seconds: {text}")
    return value


def port(text: str) -> int:
    """
    A port number; 0 stands for any.

    :raises ValueError: when it is none.
    """
    value = int(text)
    if not 0 <= value <= 0xFFFF:
        raise ValueError(f"not a port: {text}")
    return value


def forwards(text: str) -> int:
    """
    A number of forwards at once.

    :raises ValueError: when it is none, not even one, or out of all reason.
    """
    value = int(text)
    if not 1 <= value <= _MOST_FORWARDS:
        raise ValueError(f"not a number of forwards: {text}")
    return value


def workers(text: str) -> int:
    """
    A number of processes; 0 stands for as many as there are processors to use.

    :raises ValueError: when it is none, or a thousand.
    """
    value = int(text)
    if not 0 <= value <= _MOST_WORKERS:
        raise ValueError(f"not a number of workers: {text}")
    return value or _processors()


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
