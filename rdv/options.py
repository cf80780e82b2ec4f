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

#: More than this (thirty years, for the seconds) is a slip of the finger.
_MOST_SECONDS, _MOST_WORKERS, _MOST_FORWARDS = 1e9, 256, 100_000


def seconds(text: str) -> float:
    """
    A length of time.

    :raises ValueError: if it is not a number, negative, or too large.
    """
    value = _number(text, float)
    if value is None or not 0 <= value < _MOST_SECONDS:
        raise ValueError(f"not a number of seconds, from 0 to less than 1e9: {text!r}")
    return value


def port(text: str) -> int:
    """
    A port number; 0 means any.

    :raises ValueError: if it is not one.
    """
    return _within(text, 0, 0xFFFF, "a port")


def forwards(text: str) -> int:
    """
    A number of forwards at once.

    :raises ValueError: if it is not a number, less than one, or too large.
    """
    return _within(text, 1, _MOST_FORWARDS, "a number of forwards")


def workers(text: str) -> int:
    """
    A number of processes; 0 means one for each processor that may be used.

    :raises ValueError: if it is not a number, or too large.
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
