"""
Observations as ``rdv check`` would have made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rdv.addresses import Address, parse_address, parse_ip
from rdv.check.observations import (
    Cause,
    Dial,
    Failure,
    Meeting,
    Observations,
    Sighting,
    Stray,
    StrayAnswer,
    Tls,
)

SERVER = parse_address("198.51.100.1:8080")
HOST, ROUTER = "192.168.1.2", "203.0.113.1"
FIRST = 40000


def sightings(seen: Sequence[str | None]) -> tuple[Sighting, ...]:
    """Of fresh ports from 40000 on, in steps of 7; ``=`` stands for the port as it is."""
    found = []
    for number, text in enumerate(seen):
        port = FIRST + 7 * number
        address = None if text is None else parse_address(text.replace("=", str(port)))
        found.append(Sighting(port, address))
    return tuple(found)


def met(*seen: str | None, is_relay: bool = True, seconds: float = 0.05) -> Meeting:
    """A meeting that came off."""
    return Meeting(sightings(seen), seconds, is_relay, SERVER)


def failed(what: Cause, status: int | None = None) -> Meeting:
    """One that did not."""
    return Meeting(failure=Failure(what, "so it was", status))


#: A meeting for which there was not enough time.
CUT = Meeting(sightings([f"{ROUTER}:="] * 2))


def behind(*seen: str | None, **changes: Any) -> Observations:
    """
    A host with a private address and a public server, which sees it as that: by default behind a
    NAT that keeps ports.
    """
    seen = seen or (f"{ROUTER}:=",) * 6
    given = {
        "url": "http://server.test:8080/",
        "own": [parse_ip(HOST)],
        "source": parse_ip(HOST),
        "dials": [Dial(SERVER, 0.02)],
        "relayed": [met(*seen)],
        "direct": [met(is_relay=False)],
        **changes,
    }
    return Observations(**given)


def public(*seen: str | None, **changes: Any) -> Observations:
    """A host with a public address."""
    own = [parse_ip("192.0.2.7")]
    seen = seen or ("192.0.2.7:=",) * 6
    return behind(*seen, **{"own": own, "source": own[0], **changes})


def by_two_ports(one: str | None, other: str | None) -> dict[str, Any]:
    """What the second port says."""
    seen = [None if each is None else parse_address(each) for each in (one, other)]
    pair = tuple(Sighting(FIRST, each) for each in seen)
    return {"other_ports": (8081,), "second": Meeting(pair, 0.05, True, SERVER)}


RANDOM = tuple(f"{ROUTER}:{port}" for port in (5000, 61000, 20000, 20001, 3000, 45000))
COUNTED = tuple(f"{ROUTER}:{port}" for port in range(20000, 20006))
SAME = by_two_ports("203.0.113.1:5", "203.0.113.1:5")
DIFFERENT = by_two_ports("203.0.113.1:5", "203.0.113.1:6")
#: The server names a second port, which cannot be reached.
FILTERED: dict[str, Any] = {"other_ports": (8081,), "second": failed(Cause.UNREACHABLE)}
DUAL: dict[str, Any] = {
    "own": [parse_ip(HOST), parse_ip("2001:db8::7")],
    "dials": [Dial(SERVER, 0.02), Dial(Address(parse_ip("2001:db8::1"), 8080), 0.02)],
}
SOUND = Tls("TLSv1.3", "AES", "server.test", "an authority", "2030-01-01", 90)


def stray(answer: StrayAnswer, detail: str = "") -> dict[str, Any]:
    """What a SYN from inside got."""
    return {"stray": Stray(parse_address(f"{ROUTER}:40000"), answer, detail)}
