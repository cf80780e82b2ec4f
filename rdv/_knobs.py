"""
Checks of arguments: the error tells the author of the call which argument is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Real
from typing import TypeVar

__all__ = ["function", "instance", "number", "optional_seconds", "seconds", "whole", "with_methods"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object] | None)


def seconds(name: str, value: float, *, above_zero: bool = False) -> float:
    """
    A length of time; ``math.inf`` is one.

    :raises TypeError: if it is not a number.
    :raises ValueError: if it is negative, NaN, or 0 where that makes no sense.
    """
    return number(name, value, "seconds", above_zero=above_zero)


def optional_seconds(name: str, value: float | None) -> float | None:
    """Like :func:`seconds`, or None."""
    return None if value is None else seconds(name, value)


def number(name: str, value: float, unit: str, *, above_zero: bool = False) -> float:
    """Like :func:`seconds`, in another unit."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: a number of {unit} is needed, not {_kind(value)}")
    if not (value > 0 if above_zero else value >= 0):
        least = "more than 0" if above_zero else "0 or more"
        raise ValueError(f"{name}: {least} {unit} are needed, not {value!r}")
    return value


def whole(name: str, value: int, least: int, most: int) -> int:
    """
    A whole number from ``least`` to ``most``.

    :raises TypeError: if it is not a whole number.
    :raises ValueError: if it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: a whole number is needed, not {_kind(value)}")
    if not least <= value <= most:
        raise ValueError(f"{name}: {least} to {most} is needed, not {value}")
    return value


def function(name: str, value: F) -> F:
    """
    Something to call, or None.

    :raises TypeError: if it cannot be called.
    """
    if value is not None and not callable(value):
        raise TypeError(f"{name}: a function is needed, not {_kind(value)}")
    return value


def instance(name: str, value: T, kind: type | tuple[type, ...], what: str) -> T:
    """
    :param what: what is needed, in words.
    :raises TypeError: if it is not an instance of ``kind``.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name}: {what} is needed, not {_kind(value)}")
    return value


def with_methods(name: str, value: T, methods: Iterable[str], what: str) -> T:
    """
    An object of which only some methods are needed.

    :param what: what is needed, in words.
    :raises TypeError: if it lacks one of ``methods``.
    """
    if not all(callable(getattr(value, method, None)) for method in methods):
        raise TypeError(f"{name}: {what} is needed, not {_kind(value)}")
    return value


def _kind(value: object) -> str:
    """Its type only: the value may be a secret that was passed in the wrong place."""
    return "None" if value is None else f"a {type(value).__name__}"
