"""
Values on a command line, for argparse and for Twisted's options alike.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # that of typing takes 5 ms to load
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T", int, float)

__all__ = ["forwards", "port", "seconds", "workers"]

#: More seconds than this, thirty years, are a slip of the finger.
_MOST_SECONDS = 1e9
#: As are more processes than this.
_MOST_WORKERS = 256
#: As is this.
_MOST_FORWARDS = 100_000


def seconds(text: str) -> float:
    """
    A length of time.

    :raises ValueError: when it is no number, negative, or without end.
    """
    value = _number(text, float)
    if value is None or not 0 <= value < _MOST_SECONDS:
        raise ValueError(f"not a number of seconds, from 0 to less than 1e9: {text!r}")
    return value


def port(text: str) -> int:
    """
    A port number; 0 stands for any.

    :raises ValueError: when it is none.
    """
    return _within(text, 0, 0xFFFF, "a port")


def forwards(text: str) -> int:
    """
    A number of forwards at once.

    :raises ValueError: when it is none, not even one, or out of all reason.
    """
    return _within(text, 1, _MOST_FORWARDS, "a number of forwards")


def workers(text: str) -> int:
    """
    A number of processes; 0 stands for as many as there are processors to use.

    :raises ValueError: when it is none, or a thousand.
    """
    return _within(text, 0, _MOST_WORKERS, "a number of workers") or _processors()


def _within(text: str, least: int, most: int, what: str) -> int:
    value = _number(text, int)
    if value is None or not least <= value <= most:
        raise ValueError(f"not {what}, {least} to {most}: {text!r}")
    return value


def _number(text: str, kind: Callable[[str], T]) -> T | None:
    try:
        return kind(text)
    except ValueError:
        return None


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
