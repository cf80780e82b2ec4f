"""
Values on a command line, for argparse and for Twisted's options alike.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing that of typing takes 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T", int, float)

__all__ = [
    "file_name",
    "forwards",
    "limit",
    "one_of",
    "port",
    "seconds",
    "seconds_text",
    "size",
    "workers",
]

#: More than this (thirty years, for the seconds) must be a typo.
_MOST_SECONDS, _MOST_WORKERS, _MOST_FORWARDS = 1e9, 256, 100_000
_MOST_BYTES = 1 << 60
_MOST_OF_ANYTHING = 1_000_000


def seconds(text: str) -> float:
    """
    A length of time: ``90``, ``1.5m``, ``2h``, ``1d``.

    :raises ValueError: if it is none, negative, or too large.
    """
    value = _with_unit(text, {"s": 1, "m": 60, "h": 3600, "d": 86400})
    if value is None or not value >= 0:
        raise ValueError(f"not a time such as 90, 5m, 2h or 1d: {text!r}")
    if value >= _MOST_SECONDS:
        raise ValueError(f"not a time below 1e9 s: {text!r}")
    return value


def seconds_text(value: float) -> str:
    """
    A length of time in the form that :func:`seconds` reads, in the largest unit without a fraction.
    """
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if value >= length and value % length == 0:
            return f"{value / length:.12g}{unit}"
    return f"{value:.12g}s"


def size(text: str) -> int:
    """
    A number of bytes, or of bytes a second: ``4096``, ``64k``, ``10M``, ``1.5G``. A unit is 1024 of
    the one before.

    :raises ValueError: if it is none, negative, or too large.
    """
    units = {unit: 1 << 10 * power for power, unit in enumerate("kmgt", 1)}
    value = _with_unit(text, units)
    if value is None or not 0 <= value < _MOST_BYTES:
        raise ValueError(f"not a size such as 4096, 64k, 10M or 1G: {text!r}")
    return int(value)


def one_of(*words: str) -> Callable[[str], str]:
    """A parser that accepts one of ``words``, and raises ValueError for anything else."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"not {', '.join(words[:-1])} or {words[-1]}: {text!r}")
        return text

    return read


def port(text: str) -> int:
    """
    A port number; 0 means any.

    :raises ValueError: if it is not one.
    """
    return _within(text, 0, 0xFFFF, "a port")


def file_name(text: str) -> str:
    """
    The name of a file, which need not exist.

    :raises ValueError: if it cannot be the name of a file.
    """
    if not text or "\0" in text:
        raise ValueError(f"not the name of a file: {text!r}")
    return text


def forwards(text: str) -> int:
    """
    A number of forwards at once.

    :raises ValueError: if it is not a number, less than one, or too large.
    """
    return _within(text, 1, _MOST_FORWARDS, "a number of forwards")


def limit(text: str) -> int:
    """
    How many there may be of something; 0 means any number.

    :raises ValueError: if it is not a number, or too large.
    """
    return _within(text, 0, _MOST_OF_ANYTHING, "a limit")


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


def _with_unit(text: str, units: Mapping[str, int]) -> float | None:
    factor = units.get(text[-1:].lower())
    value = _number(text if factor is None else text[:-1], float)
    return value if factor is None or value is None else value * factor


def _number(text: str, kind: Callable[[str], T]) -> T | None:
    try:
        return kind(text)
    except ValueError:
        return None


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
