"""
The table of faults.

Another victim, fault, moment, path, form or scheme is another member here; what it means is said
where :mod:`tests.faults.scene` and :mod:`tests.faults.strike` look at it. Combinations that mean
nothing, or nothing new, are left out by :data:`LEFT_OUT`, each with its reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from tests.secure import STEADY
from tests.servers import DIRECT, RELAYED

__all__ = [
    "LEFT_OUT",
    "SERVING",
    "Case",
    "Expected",
    "Fault",
    "Form",
    "Moment",
    "Path",
    "Scheme",
    "Victim",
    "cases",
    "combinations",
]


class Victim(Enum):
    """Whom it befalls."""

    DIALER = "dial"
    ACCEPTOR = "accept"
    SERVER = "serve"
    #: The one of two workers that owns the token.
    WORKER = "worker"
    EXPOSE = "expose"
    CONNECT = "connect"


class Fault(Enum):
    """What befalls it."""

    KILL = "kill -9"
    #: The others sleep meanwhile, and find out when they wake up.
    KILL_UNSEEN = "kill -9 unseen"
    #: It sleeps, and its system takes what comes. It never wakes up.
    KILL_ASLEEP = "kill -9 asleep"
    STOP = "SIGSTOP, 3 s, SIGCONT"
    TERM = "SIGTERM"
    INT = "SIGINT"
    #: The peer has its line, or it has the peer's, and the stream is to begin.
    KILL_ATTACHING = "kill -9 when it is connected"
    #: A dialer has said CONFIRM.
    KILL_CHOSEN = "kill -9 behind its choice"
    #: A server is about to pass on the second line.
    KILL_JOINING = "kill -9 when it joins two"


class Moment(Enum):
    """When. What is still to be sent is sent after the fault, or while it lasts."""

    #: It waits in the lobby, or is where others wait.
    BEFORE = "before the pair"
    #: One half has arrived, and the other one was not yet given to the sender.
    MIDDLE = "in mid-stream"
    #: Likewise, and much is under way.
    FLIGHT = "in full flight"
    #: All has arrived, and the sender's input has not ended.
    ARRIVED = "at the end, the input open"
    #: The sender's input has just ended, whatever has become of that.
    ENDED = "at the end, the input just closed"


class Path(Enum):
    """How the bytes go: with options of the clients."""

    #: It begins on the relay, and moves to a direct path when one half has arrived; in full flight
    #: it is about to.
    MOVED = DIRECT
    DIRECT = STEADY
    RELAY = RELAYED


class Form(Enum):
    """
    How the clients tell what happens, and how they are told to meet. With JSON the receiver writes
    to a file, else a pipe. What is secured has a secret for its token.
    """

    PLAIN = ()
    JSON = ("--json",)
    SECURED = ("--secure",)


class Scheme(Enum):
    """How the server is spoken to."""

    HTTP = "http"
    HTTPS = "https"


class Expected(Enum):
    """What becomes of the bytes."""

    #: They arrive, and everybody says so.
    WHOLE = "all arrives"
    #: They do not, and everybody says that.
    BROKEN = "it breaks"
    #: Nobody knows who was faster. Whoever says that they have arrived is right.
    EITHER = "either"


#: The functions in which those are killed who do not live to see a stream; see :mod:`tests.doomed`.
DOOM = {
    Fault.KILL_ATTACHING: "rdv.client.connection:Connection.attach",
    Fault.KILL_CHOSEN: "+rdv.client.candidate:Candidate.choose",
    Fault.KILL_JOINING: "rdv.server.pair:Pair._decide",
}
#: Those to whom it can happen.
DOOMED = {
    Fault.KILL_ATTACHING: (Victim.DIALER, Victim.ACCEPTOR, Victim.EXPOSE),
    Fault.KILL_CHOSEN: (Victim.DIALER, Victim.CONNECT),
    Fault.KILL_JOINING: (Victim.SERVER,),
}
FORWARDING = (Victim.EXPOSE, Victim.CONNECT)
SERVING = (Victim.SERVER, Victim.WORKER)


@dataclass(frozen=True)
class Case:
    """One row."""

    victim: Victim
    fault: Fault
    moment: Moment
    path: Path
    form: Form
    scheme: Scheme

    def __str__(self) -> str:
        path, form, scheme = self.path.name, self.form.name, self.scheme.name
        how = ", ".join(word.lower() for word in (path, form, scheme))
        return f"{self.victim.value}: {self.fault.value}, {self.moment.value} ({how})"

    @property
    def is_forward(self) -> bool:
        """Whether it is about ``expose`` and ``connect``."""
        return self.victim in FORWARDING

    @property
    def doom(self) -> str:
        """Where the victim is killed by itself; empty if it is not."""
        return DOOM.get(self.fault, "")

    @property
    def goes_away(self) -> bool:
        """Whether the victim is not there afterwards."""
        # Workers leave signals to their parent.
        deaf = self.victim is Victim.WORKER and self.fault is Fault.TERM
        return self.fault is not Fault.STOP and not deaf

    @property
    def expected(self) -> Expected:
        """What becomes of the bytes."""
        if not self.goes_away:
            return Expected.WHOLE
        if self.doom:
            return Expected.BROKEN
        if self.moment is Moment.BEFORE:  # somebody takes its place
            return Expected.WHOLE
        if self.victim in SERVING and self.path is not Path.RELAY:
            moving = self.path is Path.MOVED and self.moment is Moment.FLIGHT
            return Expected.EITHER if moving else Expected.WHOLE
        if self.victim is Victim.SERVER and self.fault is Fault.TERM:  # what runs may end
            return Expected.WHOLE
        return Expected.EITHER if self.moment is Moment.ENDED else Expected.BROKEN


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
                or c.scheme is Scheme.HTTPS
                or c.victim not in (Victim.DIALER, Victim.ACCEPTOR, Victim.SERVER, Victim.EXPOSE)
                or (c.victim is Victim.EXPOSE and c.moment is not Moment.MIDDLE)
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
