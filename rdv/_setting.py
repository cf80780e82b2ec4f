"""
One row of a table of settings, from which flags, the keys of a file and names in the environment
are made. Such a table is a dataclass whose fields are made by :func:`setting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from rdv.options import file_name, limit, seconds, size, workers

__all__ = ["Setting", "setting", "settings_of"]

T = TypeVar("T")

_METAVARS: dict[object, str] = {
    file_name: "FILE",
    limit: "N",
    seconds: "SECONDS",
    size: "BYTES",
    workers: "N",
}


@dataclass(frozen=True)
class Setting:
    """
    One row of the table.

    :ivar field: its name in the dataclass.
    :ivar default: the value when it is not set.
    :ivar text: the description for a human, without the default.
    :ivar group: the heading under which it is listed.
    :ivar parse: reads a value from text, or raises :class:`ValueError` with a text for a human;
        None for a switch, which has no value.
    :ivar metavar: stands for the value in the usage.
    :ivar also: its other names; a single letter is a short flag.
    :ivar repeats: whether it may be given several times; the value is then a sequence.
    :ivar at_start: whether a running process keeps the value with which it started.
    """

    field: str
    default: Any
    text: str
    group: str
    parse: Callable[[str], Any] | None
    metavar: str
    also: Sequence[str]
    repeats: bool
    at_start: bool

    @property
    def flag(self) -> str:
        """Its name on a command line, without dashes. What is on has a flag to turn it off."""
        name = self.field.replace("_", "-")
        return f"no-{name}" if self.parse is None and self.default else name

    @property
    def names(self) -> Sequence[str]:
        """All its names but single letters: on a command line, and as keys of a file."""
        return [self.flag, *(name for name in self.also if len(name) > 1)]

    @property
    def described(self) -> str:
        """The description for a human."""
        if self.parse is None or not self.default:
            return self.text
        default = ", ".join(self.default) if self.repeats else self.default
        text = f"{default:g}" if isinstance(default, float) else str(default)
        return f"{self.text} (default {text})"


def setting(
    default: T,
    text: str,
    group: str,
    parse: Callable[[str], Any] | None = None,
    *,
    metavar: str = "",
    also: Sequence[str] = (),
    repeats: bool = False,
    at_start: bool = False,
) -> T:
    """
    A field of a table: see :class:`Setting`.

    :param metavar: needed where ``parse`` does not tell.
    """
    of_field = {
        "text": text,
        "group": group,
        "parse": parse,
        "metavar": metavar or _METAVARS.get(parse, ""),
        "also": also,
        "repeats": repeats,
        "at_start": at_start,
    }
    value: T = field(default=default, metadata=of_field)
    return value


def settings_of(table: type) -> Iterator[Setting]:
    """The lines of a table, in its order."""
    for each in fields(table):
        yield Setting(each.name, each.default, **each.metadata)
