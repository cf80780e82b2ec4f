"""
Attempts as lists of events, made by hand; and lists that no attempt would produce, but that
renderers must accept.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rdv.addresses import parse_address
from rdv.client.trace import Event, What

SERVER = parse_address("192.0.2.80:443")
PEER = parse_address("203.0.113.9:41000")
LAN = parse_address("192.168.1.7:41000")
STRANGER = parse_address("203.0.113.77:555")
PORT = 40000


def at(milliseconds: float, what: What, **fields: object) -> Event:
    """Something that happens so long after the beginning."""
    return Event(1000 + milliseconds / 1e3, 1, what, fields)


class Telling:
    """:ivar events: those so far."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, milliseconds: float, what: What, **fields: object) -> None:
        self.events.append(at(milliseconds, what, **fields))

    def begin(self, role: str = "dialer") -> None:
        """An attempt, up to the dial to the server."""
        self(0, What.BEGUN, role=role, server="https://example.com/rdv", port=PORT)
        self(0, What.ADDRESSES, addresses=[parse_address(f"10.0.0.5:{PORT}")], spaces=["private4"])
        self(1, What.RESOLVED, host="example.com", addresses=[SERVER])
        self(1, What.CALLED, address=SERVER)

    def ask(self) -> None:
        """Up to the request."""
        self(21, What.REACHED, address=SERVER, seconds=0.02)
        self(42, What.SECURED, version="TLSv1.3", cipher="x")
        self(42, What.ASKED)

    def meet(self, after: float) -> None:
        """Up to the answer, which comes so many milliseconds after the beginning."""
        self(after, What.ANSWERED, status=101, phrase="Switching Protocols", round_trip=0.02)
        self(after, What.MET, observed=parse_address("198.51.100.1:40000"), peer_addresses=[PEER])
        self.way(after, 1, "relay", SERVER)
        self(after, What.STANDS, way=1, seconds=None, round_trip=0.02)

    def way(self, after: float, number: int, kind: str, address: object) -> None:
        """One more way."""
        space = "private4" if address == LAN else "public4"
        self(after, What.WAY, way=number, kind=kind, address=address, space=space, guessed=False)

    def refuse(self, after: float, way: int, dial: int, took: float) -> None:
        """A dial that is refused after so many milliseconds."""
        self(after, What.DIALLED, way=way, dial=dial)
        why = {"reason": "connection refused", "errno": "ECONNREFUSED"}
        self(after + took, What.REFUSED, way=way, dial=dial, **why, seconds=took / 1e3)


def direct(lobby: float = 130_000.0, dials: int = 30) -> list[Event]:
    """The peer's NAT refuses many dials; the last one meets its own."""
    tell = Telling()
    tell.begin()
    tell.ask()
    begun = 42 + lobby
    tell.meet(begun)
    tell.way(begun, 2, "dial", PEER)
    tell.way(begun, 3, "dial", LAN)
    tell(begun, What.DIALLED, way=3, dial=1)
    for number in range(dials):
        tell.refuse(begun + 5 * number, 2, number + 1, 4)
    end = begun + 5 * dials
    tell(end, What.DIALLED, way=2, dial=dials + 1)
    tell(end + 6, What.HEARD, way=1, line="HELLO")
    tell(end + 6, What.WAITS, way=1, seconds=2.0, reason="a direct path may open")
    tell(end + 10, What.STANDS, way=2, seconds=0.01, round_trip=0.01)
    tell(end + 20, What.HEARD, way=2, line="HELLO")
    tell(end + 20, What.SAID, way=2, line="CONFIRM")
    tell(end + 20, What.CHOSEN, way=2, dials=dials + 1)
    tell(end + 20, What.LOST, way=1, reason="a direct path was faster", dials=0)
    tell(end + 20, What.LOST, way=3, reason="no answer", dials=1)
    tell(end + 21, What.CONNECTED, path="p2p", peer=PEER, way=2)
    return tell.events


def relayed(role: str = "dialer") -> list[Event]:
    """Nobody answers, and the relay's patience ends."""
    tell = Telling()
    tell.begin(role)
    tell.ask()
    tell.meet(100)
    for number, address in enumerate((PEER, LAN), 2):
        tell.way(100, number, "dial", address)
        tell(100, What.DIALLED, way=number, dial=1)
    tell(120, What.HEARD, way=1, line="HELLO")
    tell(120, What.WAITS, way=1, seconds=2.0, reason="a direct path may open")
    tell(2120, What.SAID, way=1, line="CONFIRM")
    tell(2120, What.CHOSEN, way=1, dials=0)
    for number in (2, 3):
        tell(2120, What.LOST, way=number, reason="no answer", dials=1)
    tell(2121, What.CONNECTED, path="relay", peer=SERVER, way=1)
    return tell.events


def moving() -> Telling:
    """The relay is chosen after its round trip; a dial and one who has come are still on."""
    tell = Telling()
    tell.begin()
    tell.ask()
    tell.meet(100)
    tell.way(100, 2, "dial", PEER)
    tell(100, What.DIALLED, way=2, dial=1)
    tell(120, What.HEARD, way=1, line="HELLO")
    tell(120, What.WAITS, way=1, seconds=0.02, reason="a direct path may open")
    tell(140, What.SAID, way=1, line="CONFIRM")
    tell(140, What.CHOSEN, way=1, dials=0)
    tell(160, What.CONNECTED, path="relay", peer=SERVER, way=1, moves=True)
    tell.way(300, 3, "inbound", STRANGER)
    tell(300, What.STANDS, way=3, seconds=None, round_trip=0.04)
    return tell


def moved() -> list[Event]:
    """A late direct path is what the stream moves to."""
    tell = moving()
    tell(600, What.REFUSED, way=2, dial=1, reason="no route to host", errno="EHOSTUNREACH")
    tell(1000, What.DIALLED, way=2, dial=2)
    tell(1040, What.STANDS, way=2, seconds=0.04, round_trip=0.04)
    tell(1060, What.HEARD, way=2, line="HELLO")
    tell(1060, What.SAID, way=2, line="CONFIRM")
    tell(1160, What.CHOSEN, way=2, dials=2)
    tell(1160, What.LOST, way=3, reason="no HELLO came", dials=0)
    tell(1160, What.MOVED, way=2, peer=PEER)
    return tell.events


def stayed() -> list[Event]:
    """The stream is over before a direct path comes."""
    tell = moving()
    for number, reason in ((2, "no answer"), (3, "no HELLO came")):
        tell(2160, What.LOST, way=number, reason=reason, dials=1)
    tell(2160, What.STAYED, reason="the stream is over")
    return tell.events


def _refused() -> list[Event]:
    tell = Telling()
    tell.begin("acceptor")
    tell.ask()
    tell(60, What.ANSWERED, status=409, phrase="Conflict", round_trip=0.02)
    tell(60, What.FAILED, reason="https://example.com/rdv refused: 409 Conflict")
    return tell.events


def _unreachable() -> list[Event]:
    tell = Telling()
    tell.begin()
    tell(31, What.UNREACHED, address=SERVER, reason="connection refused", seconds=0.03)
    tell(31, What.FAILED, reason="cannot reach https://example.com/rdv: connection refused")
    return tell.events


DIRECT, RELAYED = direct(), relayed()
MOVED, STAYED = moved(), stayed()
REFUSED, UNREACHABLE = _refused(), _unreachable()


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
    "moves": st.booleans(),
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
