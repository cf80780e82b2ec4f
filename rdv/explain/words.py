"""
The result of an attempt, in words.
"""

from __future__ import annotations

from collections import Counter

from rdv.client.trace import What
from rdv.explain.facts import Facts, Way

__all__ = ["duration", "heading", "outcome", "server_outcome", "summary"]


def duration(seconds: float) -> str:
    """A length of time for humans: ``0.3 ms``, ``340 ms``, ``2.1 s``, ``3 min 5 s``."""
    if seconds < 0.00005:
        return "0 ms" if seconds <= 0 else "under 0.1 ms"
    if seconds < 0.00995:
        return f"{seconds * 1e3:.1f} ms".replace(".0 ms", " ms")
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def heading(facts: Facts) -> str:
    """The role, the server, and the result."""
    verb = {"dialer": "Dialling", "acceptor": "Accepting"}.get(facts.role, "Connecting")
    took = duration(facts.ended - facts.begun)
    if facts.connected is not None:
        way = "through the relay" if facts.path == "relay" else "directly"
        result = f"connected {way} after {duration(facts.connected - facts.begun)}"
        if facts.moved is not None:
            result += f", on a direct path after {took}"
    elif facts.failed is not None:
        result = f"no connection after {took}"
    else:
        result = f"not finished after {took}"
    return f"{verb} through {facts.text(What.BEGUN, 'server') or 'a server'}: {result}"


def summary(facts: Facts) -> str:
    """Why this path has won, or why there is none."""
    if facts.moves:
        text = _moving(facts)
    elif facts.path is not None:
        text = _relayed(facts) if facts.path == "relay" else _direct(facts)
        if What.SWITCHED in facts.last:
            text += " It later proved dead, and the relay replaced it."
    elif facts.failed is not None:
        text = _failed(facts)
    else:
        text = "The attempt has not finished."
    rejected = [event for event in facts.events if event.what is What.REJECTED]
    if rejected:
        count, address = _count(len(rejected), "connection"), rejected[0].fields.get("address")
        text += f" {count} came from addresses that are not allowed: {address}."
    return text


def _direct(facts: Facts) -> str:
    way = facts.winner
    if way is None:
        return f"A direct path won: to {facts.text(What.CONNECTED, 'peer')}."
    text = f"A direct path won: {_coming(way)}"
    if facts.met is not None and way.ended is not None:
        text += f" and was chosen {duration(way.ended - facts.met)} after the server named it"
    return text + "."


def _coming(way: Way) -> str:
    """How a direct path was established."""
    if way.kind == "inbound":
        return f"the peer connected from {way.address}"
    tries = "" if len(way.dials) < 2 else f" dial {len(way.dials)}"
    return f"{way.address} answered{tries}"


def _moving(facts: Facts) -> str:
    began = "The stream began on the relay"
    way = facts.moved_to
    if facts.moved is not None and facts.connected is not None:
        coming = f"to {facts.text(What.MOVED, 'peer')}" if way is None else _coming(way)
        after = duration(facts.moved - facts.connected)
        return f"{began}, and moved to a direct path after {after}: {coming}."
    if facts.stayed is None:
        return f"{began}. It may still move to a direct path."
    tried = _direct_ways(facts)
    fates = _fates(tried) if tried else "there was no address to dial"
    return f"{began} and stayed there: {fates} ({facts.stayed})."


def _relayed(facts: Facts) -> str:
    tried = _direct_ways(facts)
    if facts.role == "acceptor":
        why = "the dialer chose it"
        return f"The relay was taken: {why}{'; ' + _fates(tried) if tried else ''}."
    if not tried:
        return "The relay was taken: there was no address to dial."
    relay = facts.winner
    text = f"The relay was taken: {_fates(tried)}"
    if relay is not None and What.HURRIED in relay.last:
        text += ", so no better path was possible"
    elif relay is not None and relay.waits is not None and relay.ended is not None:
        text += f" within {duration(relay.ended - relay.waits)}"
    return text + "."


def _failed(facts: Facts) -> str:
    no = "There is no connection:"
    if facts.met is not None:
        tried = _direct_ways(facts)
        relay = next((way for way in facts.ways if way.kind == "relay"), None)
        text = f"{no} the peer was there, but no path to it could be established"
        parts = [_fates(tried)] if tried else []
        if relay is not None and relay.lost:
            parts.append(f"the relay: {relay.lost}")
        return f"{text}: {'; '.join(parts)}." if parts else f"{text} ({facts.failed})."
    if facts.status is not None and facts.status != 101:
        return f"{no} the server answered {facts.status} {facts.phrase}".rstrip() + "."
    if facts.asked is not None and facts.answered is None:
        waited = duration(facts.ended - facts.asked)
        late = (facts.failed or "").startswith("time is up")
        why = "" if late else f" ({facts.failed})"
        return f"{no} no peer came with this token within {waited}{why}."
    refused = facts.calls and all(call.reason is not None for call in facts.calls)
    if refused and What.PROXIED not in facts.last:  # a proxy is named by the failure itself
        return f"{no} the server cannot be reached: {facts.calls[-1].reason}."
    return f"{no} {facts.failed}."


def _direct_ways(facts: Facts) -> list[Way]:
    return [way for way in facts.ways if way.kind != "relay"]


def _fates(ways: list[Way]) -> str:
    """The results of several addresses, without naming each."""
    fates = Counter(map(_fate, ways))
    if len(fates) > 1:
        parts = ", ".join(f"{number} {fate}" for fate, number in fates.items())
        return f"of {len(ways)} addresses {parts}"
    (fate,) = fates
    if len(ways) == 1:
        return f"the one address {fate}"
    if fate == "did not answer":
        return f"none of the {len(ways)} addresses answered"
    return f"all {len(ways)} addresses {fate}"


def _fate(way: Way) -> str:
    if way.heard is not None:
        return "got as far as the handshake"
    if way.stands is not None:
        return "connected without a handshake"
    if any(dial.stood is not None for dial in way.refusals):
        return "connected and broke"
    return "refused" if way.refusals else "did not answer"


def outcome(way: Way, facts: Facts) -> str:
    """The result of one way."""
    parts = []
    met = facts.met
    if way is facts.moved_to:
        parts.append("the stream moved here")
    elif way.chosen:
        parts.append("chosen")
        if facts.moved is not None and facts.connected is not None:
            parts.append(f"left after {duration(facts.moved - facts.connected)}")
    elif way.lost is not None:
        parts.append(way.lost)
    if way.guessed:
        parts.append("a predicted port")
    refusals = len(way.refusals)
    if refusals and len(way.dials) == refusals:
        parts.append(_count(refusals, "dial"))
    elif refusals:
        parts.append(f"dial {len(way.dials)} after {_count(refusals, 'refusal')}")
    if way.stands is not None and way.dials:
        parts.append(f"connected in {duration(way.stands - way.dials[-1].begun)}")
    heard = way.heard
    if heard is not None and met is not None:
        parts.append(f"{heard.fields.get('line')} after {duration(heard.time - met)}")
    if way.waits is not None and way.ended is not None:
        parts.append(f"waited {duration(way.ended - way.waits)}")
    if What.SUSPECT in way.last:
        reached = "acknowledged" if What.ACKNOWLEDGED in way.last else "not acknowledged"
        parts.append(f"CONFIRM {reached}")
    return "; ".join(parts) or "not finished"


def server_outcome(facts: Facts) -> str:
    """How the server was reached."""
    call = facts.calls[-1]
    if call.reason is not None:
        return call.reason
    if call.stood is None:
        return "no answer"
    parts = [f"connected in {duration(call.stood - call.begun)}"]
    round_trip = facts.field(What.ANSWERED, "round_trip")
    if round_trip is not None:
        parts.append(f"round trip {duration(round_trip)}")
    if What.SECURED in facts.last:
        parts.append(facts.text(What.SECURED, "version") or "TLS")
    return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
