"""
What was observed and concluded, as text for a person or as one JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from rdv.addresses import Address, space_of
from rdv.check.finding import Finding, Weight
from rdv.check.judgement import Verdict
from rdv.check.observations import Observations

__all__ = ["as_json", "as_text"]

_MARKS = {Weight.GOOD: "+", Weight.NOTE: " ", Weight.BAD: "-"}
#: Columns of a page; a narrower terminal has less.
_WIDTH = 100


def as_text(found: list[Finding], verdict: Verdict, width: int = _WIDTH) -> str:
    """
    Lines: a mark and a sentence for each finding, the verdict, and what to change.

    :param width: columns that there are; no more than a hundred are used.
    """
    width = min(width, _WIDTH)
    marked = [(f"{_MARKS[each.weight]} ", each.text) for each in found]
    lines = [line for mark, text in marked for line in _wrapped(mark, text, width)]
    lines += ["", *_wrapped("", verdict.text, width)]
    if verdict.advice:
        lines += ["", "What to change:"]
        lines += [line for each in verdict.advice for line in _wrapped("* ", each.text, width)]
    return "\n".join(lines) + "\n"


def _wrapped(mark: str, text: str, width: int) -> list[str]:
    # Not by textwrap: an address is not to be broken at a hyphen or anywhere else.
    lines, line = [], mark.rstrip() + " " * (len(mark) - len(mark.rstrip()))
    empty = True
    for word in text.split():
        if not empty and len(line) + 1 + len(word) > width:
            lines.append(line)
            line, empty = " " * len(mark), True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line]


def as_json(observations: Observations, found: list[Finding], verdict: Verdict) -> str:
    """One line."""
    own = [{"address": str(ip), "space": _space(ip)} for ip in observations.own]
    server = observations.server
    described = {
        "verdict": verdict.key,
        "usable": verdict.usable,
        "text": verdict.text,
        "advice": [asdict(each) for each in verdict.advice],
        "findings": [asdict(each) for each in found],
        "observations": {
            **_plain(vars(observations)),
            "own": own,
            "server": None if server is None else str(server),
        },
    }
    return json.dumps(described) + "\n"


def _space(ip: IPv4Address | IPv6Address) -> str:
    return (space_of(ip).name or "none").lower()


def _plain(value: Any) -> Any:
    """As JSON can say it."""
    if isinstance(value, Address | IPv4Address | IPv6Address):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
