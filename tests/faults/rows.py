"""
The rows of the table that are run: all combinations except those that mean nothing, or nothing new.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from tests.faults.table import (
    DOOMED,
    SERVING,
    Case,
    Fault,
    Form,
    Moment,
    Path,
    Scheme,
    Victim,
)

__all__ = ["LEFT_OUT", "cases", "combinations"]

#: Each with its reason.
LEFT_OUT: list[tuple[str, Callable[[Case], bool]]] = [
    (
        "those who forward tell of a forward, and do not show how far it is: JSON is nothing new "
        "to the bytes",
        lambda c: c.is_forward and c.form is Form.JSON and c.path is Path.RELAY,
    ),
    (
        "at the very end it is luck who is faster, and JSON has no part in it",
        lambda c: c.moment is Moment.ENDED and c.form is Form.JSON,
    ),
    (
        "a pair on a direct path has nothing to do with any server any more: the one of one "
        "process shows that",
        lambda c: (
            c.victim is Victim.WORKER and c.path is Path.DIRECT and c.moment is not Moment.BEFORE
        ),
    ),
    (
        "a secured stream breaks as a plain one does, or is whole: what kills, stops and ends it "
        "in the middle and at its end shows that; one of a forward is the same stream",
        lambda c: (
            c.form is Form.SECURED
            and (
                c.fault not in (Fault.KILL, Fault.STOP, Fault.TERM)
                or c.moment is Moment.BEFORE
                or c.victim is Victim.CONNECT
                or (c.victim is Victim.EXPOSE and c.moment is not Moment.MIDDLE)
            )
        ),
    ),
    (
        "workers and https know nothing of what is secured: what kills, and stops a worker, in the "
        "middle of a relayed stream shows that",
        lambda c: (
            c.form is Form.SECURED
            and (c.victim is Victim.WORKER or c.scheme is Scheme.HTTPS)
            and (
                c.moment is not Moment.MIDDLE
                or c.path is not Path.RELAY
                or c.fault is Fault.TERM
                or (c.scheme is Scheme.HTTPS and c.fault is not Fault.KILL)
            )
        ),
    ),
    (
        "only a secured stream moves, and behind that it is a direct one: what stops and ends it "
        "in the middle shows that",
        lambda c: (
            c.path is Path.MOVED
            and (
                c.form is not Form.SECURED
                or (c.fault is not Fault.KILL and c.moment is not Moment.MIDDLE)
            )
        ),
    ),
    (
        "unseen is what breaks a stream of which the sleeper has all, and nothing has told it so",
        lambda c: (
            c.fault is Fault.KILL_UNSEEN
            and (
                c.moment not in (Moment.MIDDLE, Moment.FLIGHT, Moment.ARRIVED)
                or c.victim not in (Victim.DIALER, Victim.SERVER)
                or (c.victim is Victim.SERVER and c.path is Path.DIRECT)
            )
        ),
    ),
    (
        "asleep means that something was still to come, and only JSON tells that all has been "
        "acknowledged",
        lambda c: (
            c.fault is Fault.KILL_ASLEEP
            and (
                c.moment is not Moment.MIDDLE
                or c.form is not Form.JSON
                or c.victim not in (Victim.ACCEPTOR, Victim.SERVER)
                or (c.victim is Victim.SERVER and c.path is Path.DIRECT)
            )
        ),
    ),
    (
        "https is a matter of the relay, and of bytes that are on the way there",
        lambda c: (
            c.scheme is Scheme.HTTPS
            and (
                c.path is Path.DIRECT
                or c.form is Form.JSON
                or c.moment not in (Moment.MIDDLE, Moment.FLIGHT, Moment.ARRIVED)
                or c.fault is Fault.TERM
            )
        ),
    ),
    (
        "in full flight only what breaks at once is something else, also for a stream that moves, "
        "and JSON only for who looks, when he wakes up, how much has moved",
        lambda c: (
            c.moment is Moment.FLIGHT
            and (c.fault, c.form) not in ((Fault.KILL, Form.PLAIN), (Fault.KILL_UNSEEN, Form.JSON))
            and (c.fault, c.path) != (Fault.KILL, Path.MOVED)
        ),
    ),
    (
        "SIGINT is SIGTERM with another status: each path and form shows that, once before the "
        "pair and once in it",
        lambda c: (
            c.fault is Fault.INT
            and (
                c.victim in SERVING
                or c.moment not in (Moment.BEFORE, Moment.MIDDLE)
                or c.scheme is Scheme.HTTPS
                or (c.form is Form.JSON) is not (c.path is Path.RELAY and not c.is_forward)
            )
        ),
    ),
    (
        "who is killed on its way to a stream is started as one that will be, and tells nothing",
        lambda c: bool(
            c.doom
            and (
                c.victim not in DOOMED[c.fault]
                or c.moment is not Moment.BEFORE
                or c.form is Form.JSON
                or (c.victim is Victim.SERVER and c.path is Path.DIRECT)
            )
        ),
    ),
]


def combinations() -> Iterator[Case]:
    """All that can be written down."""
    for row in itertools.product(Victim, Fault, Moment, Path, Form, Scheme):
        yield Case(*row)


def cases(victim: Victim) -> list[Case]:
    """The rows that are about it."""
    return [
        case
        for case in combinations()
        if case.victim is victim and not any(is_left_out(case) for _, is_left_out in LEFT_OUT)
    ]
