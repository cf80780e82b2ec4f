"""
What the remaining programs may report, given what has arrived.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.table import Expected

__all__ = ["End", "Told", "judge", "judge_told"]


@dataclass(frozen=True)
class End:
    """
    How it ended for one of the remaining programs.

    :ivar who: the name of the program, for messages.
    :ivar well: whether it reports, or has seen, a good end: status 0, a clean end.
    :ivar got: what it has received.
    :ivar wanted: what it should have received.
    :ivar vouches: a good end also means that the others have received everything.
    :ivar as_documented: whether the exit status is the one for that end.
    """

    who: str
    well: bool
    got: bytes
    wanted: bytes
    vouches: bool = False
    as_documented: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether it has got everything."""
        return self.got == self.wanted

    def __str__(self) -> str:
        end = "ended well" if self.well else "broke"
        return f"{self.who} {end} with {len(self.got)} of {len(self.wanted)} bytes"


def judge(expected: Expected, ends: Sequence[End]) -> list[str]:
    """All that is wrong with these ends; nothing when nothing is."""
    wrong = []
    for end in ends:
        others = [other for other in ends if other is not end]
        if not end.wanted.startswith(end.got):
            wrong.append(f"what {end.who} got is not what was sent")
        if end.well and not end.is_whole:
            wrong.append(f"a part is taken for the whole: {end}")
        if end.well and end.vouches and not all(other.is_whole for other in others):
            wrong.append(f"no receipt, but: {end}; {'; '.join(map(str, others))}")
        if expected is Expected.WHOLE and not (end.well and end.is_whole):
            wrong.append(f"it should have gone well: {end}")
        if not end.as_documented:
            wrong.append(f"not the status for that: {end}")
        if expected is Expected.BROKEN and end.well:
            wrong.append(f"it should have broken: {end}")
    return wrong


@dataclass(frozen=True)
class Told:
    """
    What a program has reported.

    :ivar status: its exit status; None if it is still running.
    :ivar stderr: all of it.
    :ivar is_json: whether it was to report JSON.
    :ivar tells_end: whether the last event contains the status.
    """

    who: str
    status: int | None
    stderr: bytes
    is_json: bool = False
    tells_end: bool = False


def judge_told(told: Told) -> list[str]:
    """All that is wrong with that."""
    text = told.stderr.decode(errors="replace")
    wrong = []
    if "Traceback" in text:
        wrong.append(f"a traceback of {told.who}: {text[-1000:]}")
    if told.is_json:
        try:
            events = [json.loads(line) for line in text.splitlines()]
        except ValueError:
            return [*wrong, f"not JSON, of {told.who}: {text[-1000:]}"]
        if told.tells_end and told.status is not None:
            ended = [(event["event"], event.get("status")) for event in events[-1:]]
            if ended != [("end", told.status)]:
                wrong.append(f"{told.who} ended with {told.status} and told {events[-1:]}")
    return wrong
