"""
Values on a command line, for argparse and for Twisted's options alike.
"""

from __future__ import annotations

__all__ = ["port", "seconds"]


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
