"""
What the log is told of clients and pairs: events with named fields.
"""

from __future__ import annotations

from twisted.logger import Logger

from rdv._system.verbosity import is_shown
from rdv.server.leg import Leg
from rdv.server.outcome import Outcome
from rdv.server.pair import Pair
from rdv.wire import token_hint

__all__ = ["note_client", "note_end"]

_HELD = ", {held} held back for {hold:.3f} s"


def note_client(log: Logger, event: str, leg: Leg, **fields: object) -> None:
    """Something has happened to a client."""
    if is_shown("debug"):
        log.debug(
            "{event}: {role} {token} from {observed}" + (_HELD if fields.get("held") else ""),
            event=event,
            role=leg.role.name.lower(),
            token=token_hint(leg.token),
            observed=leg.observed or "unknown",
            **fields,
        )


def note_end(log: Logger, outcome: Outcome, pair: Pair) -> None:
    """A pair has ended."""
    if is_shown("info"):
        log.info(
            "{outcome}: {token}, bytes from dialer: {dialer_bytes}, acceptor: {acceptor_bytes}",
            outcome=outcome.value,
            token=token_hint(pair.token),
            dialer_bytes=pair.dialer_bytes,
            acceptor_bytes=pair.acceptor_bytes,
        )
