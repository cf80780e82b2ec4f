"""
The table of faults.

Another victim, fault, moment, path, form or scheme is another member here;
:mod:`tests.faults.scene` and :mod:`tests.faults.strike` define what it means.
:mod:`tests.faults.rows` defines which combinations are run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum

from tests.secure import STEADY
from tests.servers import DIRECT, RELAYED

__all__ = [
    "DOOM",
    "DOOMED",
    "SERVING",
    "Case",
    "Expected",
    "Fault",
    "Form",
    "Moment",
    "Path",
    "Scheme",
    "Victim",
]


class Victim(Enum):
    """The program to which the fault happens."""

    DIALER = "dial"
    ACCEPTOR = "accept"
    SERVER = "serve"
    #: The one of two workers that owns the token.
    WORKER = "worker"
    EXPOSE = "expose"
    CONNECT = "connect"


class Fault(Enum):
    """The fault."""

    KILL = "kill -9"
    #: The others are stopped meanwhile, and notice when they continue.
    KILL_UNSEEN = "kill -9 unseen"
    #: It is stopped for good, while its system still accepts data.
    KILL_ASLEEP = "kill -9 asleep"
    STOP = "SIGSTOP, 3 s, SIGCONT"
    TERM = "SIGTERM"
    INT = "SIGINT"
    #: The peer has its line, or it has the peer's, and the stream is about to begin.
    KILL_ATTACHING = "kill -9 when it is connected"
    #: A dialer has sent CONFIRM.
    KILL_CHOSEN = "kill -9 behind its choice"
    #: A server has just forwarded the second line.
    KILL_JOINING = "kill -9 when it joins two"


class Moment(Enum):
    """The moment of the fault. The remaining data is sent after the fault, or while it lasts."""

    #: It waits in the lobby, or is the server at which others wait.
    BEFORE = "before the pair"
    #: One half has arrived, and the other one was not yet given to the sender.
    MIDDLE = "in mid-stream"
    #: Likewise, and much is in flight.
    FLIGHT = "in full flight"
    #: Everything has arrived, and the sender's input has not ended.
    ARRIVED = "at the end, the input open"
    #: The sender's input has just ended, whether or not this has arrived.
    ENDED = "at the end, the input just closed"


class Path(Enum):
    """The path of the bytes, as options of the clients."""

    #: It begins on the relay, and moves to a direct path when one half has arrived; with much in
    #: flight, it is about to move.
    MOVED = DIRECT
    DIRECT = STEADY
    RELAY = RELAYED


class Form(Enum):
    """
    How the clients report what happens, and what they share. With JSON the receiver writes to a
    file, else a pipe. A secured stream has a secret in place of a token.
    """

    PLAIN = ()
    JSON = ("--json",)
    SECURED = ("--secure",)


class Scheme(Enum):
    """How the server is reached."""

    HTTP = "http"
    HTTPS = "https"


class Expected(Enum):
    """What happens to the bytes."""

    #: They arrive, and all programs say so.
    WHOLE = "all arrives"
    #: They do not, and all programs say that.
    BROKEN = "it breaks"
    #: It depends on timing. A program that says that they have arrived is right.
    EITHER = "either"


#: The functions in which victims are killed before there is a stream; see :mod:`tests.doomed`.
DOOM = {
    Fault.KILL_ATTACHING: "rdv.client.stream.connection:Connection.attach",
    Fault.KILL_CHOSEN: "+rdv.client.candidates.candidate:Candidate.choose",
    Fault.KILL_JOINING: "rdv.server.relay.pair:Pair._decide",
}
#: The victims to which it can happen.
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
        """What happens to the bytes."""
        if not self.goes_away:
            return Expected.WHOLE
        if self.doom:
            return Expected.BROKEN
        if self.moment is Moment.BEFORE:  # another one takes its place
            return Expected.WHOLE
        if self.victim in SERVING and self.path is not Path.RELAY:
            moving = self.path is Path.MOVED and self.moment is Moment.FLIGHT
            return Expected.EITHER if moving else Expected.WHOLE
        if self.victim is Victim.SERVER and self.fault is Fault.TERM:  # running streams may end
            return Expected.WHOLE
        return Expected.EITHER if self.moment is Moment.ENDED else Expected.BROKEN

    def broken_status(self, who: Victim) -> int:
        """
        The exit status of one for whom it breaks, and who is not the victim: 3, or 1 for an
        acceptor to which the dialer did not live to say CONFIRM.
        """
        unsaid = self.victim is Victim.DIALER and self.fault is Fault.KILL_ATTACHING
        # asyncio has events before calls, others calls before events: there it has been sent.
        unsaid = unsaid and os.environ.get("RDV_TEST_REACTOR") != "asyncio"
        return 1 if unsaid and who is Victim.ACCEPTOR else 3
