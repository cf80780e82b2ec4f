"""
One thing that was found out, and how to say it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Weight", "bad", "count", "good", "note"]


class Weight(StrEnum):
    """What it means for a connection."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    :ivar key: which one it is, for a program.
    :ivar text: a sentence or two for a person.
    """

    key: str
    weight: Weight
    text: str


def good(key: str, text: str) -> Finding:
    """Something that helps to connect."""
    return Finding(key, Weight.GOOD, text)


def note(key: str, text: str) -> Finding:
    """Something to know."""
    return Finding(key, Weight.NOTE, text)


def bad(key: str, text: str) -> Finding:
    """Something that stands in the way."""
    return Finding(key, Weight.BAD, text)


def count(number: int, thing: str) -> str:
    """So many of them, in words."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
