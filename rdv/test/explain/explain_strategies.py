"""
Lists of events that no attempt would make: what renderers have to bear.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rdv.client.trace import Event, What

__all__ = ["events_lists"]

_SECONDS = st.none() | st.floats(0, 1e4)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "way": st.integers(0, 4),
    "kind": st.sampled_from(["relay", "dial", "inbound", "?"]),
    "address": st.none() | st.sampled_from(["192.0.2.1:7", "[2001:db8::1]:40000"]) | st.text(),
    "space": st.none() | st.sampled_from(["public4", "loopback"]),
    "guessed": st.booleans(),
    "dial": st.integers(0, 9),
    "dials": st.integers(0, 9),
    "reason": st.text(max_size=90),
    "seconds": _SECONDS,
    "round_trip": _SECONDS,
    "line": st.sampled_from(["HELLO", "CONFIRM"]),
    "path": st.sampled_from(["relay", "p2p"]),
    "peer": st.text(max_size=30),
    "role": st.sampled_from(["dialer", "acceptor", ""]),
    "server": st.text(max_size=80),
    "status": st.none() | st.integers(100, 599),
    "phrase": st.text(max_size=20),
    "observed": st.none() | st.text(max_size=20),
    "addresses": st.lists(st.text(max_size=20), max_size=3),
    "peer_addresses": st.lists(st.text(max_size=20), max_size=3),
}


def events_lists() -> st.SearchStrategy[list[Event]]:
    """Any events in any order, with any of the fields missing."""
    fields = st.fixed_dictionaries({}, optional=_FIELDS)
    event = st.builds(Event, st.floats(0, 2e9), st.integers(1, 2), st.sampled_from(What), fields)
    return st.lists(event, max_size=30)
