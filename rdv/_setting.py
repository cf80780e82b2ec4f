"""
One line of a table of settings, of which flags, the keys of a file and names in the environment are
made. Such a table is a dataclass whose fields are made by :func:`setting`.
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
    One line of the table.

    :ivar field: its name in the dataclass.
    :ivar default: what holds when nobody says anything.
    :ivar text: what a person is told, without the default.
    :ivar group: under which heading.
    :ivar parse: reads a value from text, or raises :class:`ValueError` with a text for a person;
        None for a switch, which has no value.
    :ivar metavar: what stands for the value in a usage.
    :ivar also: other names of it; a single letter is a short flag.
    :ivar repeats: whether it may be given several times; the value is a sequence then.
    :ivar at_start: whether a running process keeps what it has started with.
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
        """What a person is told."""
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
