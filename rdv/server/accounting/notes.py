"""
Log events about clients and pairs, with named fields.
"""

from __future__ import annotations

from twisted.logger import Logger

from rdv._system.verbosity import is_shown
from rdv.options import seconds_text
from rdv.server.accounting.record import PairRecord
from rdv.server.leg import Leg
from rdv.server.meeting.release import Hold
from rdv.server.relay.pair import Pair
from rdv.wire import token_hint

__all__ = ["note_client", "note_drain", "note_end", "note_match"]

log = Logger("rdv.server.rendezvous")

_CLIENT = "{event}: {role} {token} from {observed}, id {id}"
_HELD = ", {held} held back for {hold:.3f} s"


def note_client(event: str, leg: Leg, **fields: object) -> None:
    """Log an event of a client."""
    if is_shown("debug"):
        _note(_CLIENT, event, leg, leg.id, fields)


def note_match(pair: Pair, hold: Hold | None) -> None:
    """Log that two clients were matched."""
    if is_shown("debug"):
        if hold is None:
            fields: dict[str, object] = {"hold": 0.0, "held": None}
        else:
            fields = {"hold": hold.seconds, "held": hold.near.role.name.lower()}
        _note(_CLIENT + _HELD * bool(hold), "matched", pair.dialer, pair.id, fields)


def _note(text: str, event: str, leg: Leg, number: int, fields: dict[str, object]) -> None:
    log.debug(
        text,
        event=event,
        role=leg.role.name.lower(),
        token=token_hint(leg.token),
        observed=leg.observed or "unknown",
        id=f"{number:08x}",
        **fields,
    )


def note_drain(why: str, pairs: int, drain: float) -> None:
    """
    Log that the server exits as soon as its pairs have ended.

    :param drain: seconds after which they are cut.
    """
    text = "no pairs are left"
    if pairs:
        text = f"{pairs} {'pair has' if pairs == 1 else 'pairs have'} {seconds_text(drain)} to end"
    log.info("{name}: {text}", name=why, text=text, pairs=pairs, drain=drain)


def note_end(record: PairRecord) -> None:
    """Log that a pair has ended."""
    if is_shown("info"):
        dialer, acceptor = record.dialer_address or "unknown", record.acceptor_address or "unknown"
        # A format with many fields takes several times as long.
        text = (
            f"{record.outcome.value}: {record.token}, bytes from dialer: {record.dialer_bytes}, "
            f"acceptor: {record.acceptor_bytes}, {record.reason.value}, "
            f"waited {record.waited:.3f} s, lasted {record.lasted:.3f} s, dialer {dialer}, "
            f"acceptor {acceptor}, id {record.id}"
        )
        fields = record._asdict()
        del fields["worker"]  # the parent adds it to every event
        for name in ("dialer_user", "acceptor_user"):
            if not fields[name]:
                del fields[name]
        fields |= {
            "waited": round(record.waited, 3),
            "lasted": round(record.lasted, 3),
            "outcome": record.outcome.value,
            "reason": record.reason.value,
            "dialer_address": dialer,
            "acceptor_address": acceptor,
        }
        log.info("{text}", event="ended", text=text, **fields)
