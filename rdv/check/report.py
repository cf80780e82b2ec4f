"""
The observations and conclusions, as text for a human or as one JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from ipaddress import IPv4Address, IPv6Address
from textwrap import fill
from typing import Any

from rdv.addresses import Address, space_of
from rdv.check.judgement import Verdict
from rdv.check.observations import Observations
from rdv.check.texts import MARKS, Finding

__all__ = ["as_json", "as_text"]

#: The maximum width of the text, in columns.
_WIDTH = 100


def as_text(found: list[Finding], verdict: Verdict, width: int = _WIDTH) -> str:
    """
    Lines: a mark and a sentence for each finding, the verdict, and what to change.

    :param width: available columns; no more than a hundred are used.
    """
    marks = {weight: mark for mark, weight in MARKS.items()}
    parts = [(f"{marks[each.weight]} ", each.text) for each in found]
    parts += [("", ""), ("", verdict.text)]
    if verdict.advice:
        parts += [("", ""), ("", "What to change:")]
        parts += [("* ", each.text) for each in verdict.advice]
    return "".join(_wrapped(mark, text, min(width, _WIDTH)) + "\n" for mark, text in parts)


def _wrapped(mark: str, text: str, width: int) -> str:
    """Wrap a text, but never within a word, which may be an address."""
    return fill(
        " ".join(text.split()),
        width,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def as_json(observations: Observations, found: list[Finding], verdict: Verdict) -> str:
    """One line."""
    own = observations.own
    told = [{"address": ip, "space": (space_of(ip).name or "none").lower()} for ip in own]
    described = {
        "verdict": verdict.key,
        "usable": verdict.usable,
        "text": verdict.text,
        "advice": verdict.advice,
        "findings": found,
        "observations": {**vars(observations), "own": told, "server": observations.server},
    }
    return json.dumps(_plain(described)) + "\n"


def _plain(value: Any) -> Any:
    """In a form that JSON can represent."""
    if isinstance(value, Address | IPv4Address | IPv6Address):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
