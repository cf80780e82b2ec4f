"""
The basis of every scene: programs that are brought to a moment by events, such as a line in a log,
or output. Nothing waits for a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from rdv._secure.secret import Secret, server_token
from rdv.wire import token_hint
from tests.faults.servers import Server
from tests.faults.table import Case, Fault, Form, Moment, Path, Victim
from tests.faults.verdict import End, Told
from tests.processes import Program
from tests.servers import SystemTestCase, noise

__all__ = ["HALF", "ROLES", "Scene"]

#: Bytes that are sent before the middle, and after it.
HALF = 1 << 18
#: So few that the system of a suspended process accepts them, and so many that it does not.
FEW, MUCH = 1 << 14, 1 << 23
#: Seconds that a dialer waits for its peer, which may first have to notice that something was
#: wrong.
TIMEOUT = 30
ROLES = {
    Victim.DIALER: "dialer",
    Victim.CONNECT: "dialer",
    Victim.ACCEPTOR: "acceptor",
    Victim.EXPOSE: "acceptor",
}


class Scene(ABC):
    """
    The programs of one case.

    :ivar server: the server at which they meet. Other cases may use it, too.
    :ivar server_token: the token for the server.
    :ivar hint: what its log shows of that; no other case has the same.
    :ivar programs: those that were started last.
    """

    def __init__(self, test: SystemTestCase, case: Case, server: Server, name: str) -> None:
        self.test = test
        self.case = case
        self.server = server
        self.token = f"{name}, for a fault"
        if case.form is Form.SECURED:
            self.token = Secret(name.encode().zfill(16)).reveal()
        self.server_token = server_token(self.token)
        self.hint = token_hint(self.server_token)
        rest = FEW if case.fault is Fault.KILL_ASLEEP else HALF
        rest = MUCH if case.moment is Moment.FLIGHT else rest
        self.content = b"" if case.doom else noise(int(name), HALF + rest)
        self.programs: dict[Victim, Program] = {}
        #: A client that a victim had before the pair, which must see a break.
        self.lost: list[End] = []

    @property
    def first(self) -> Victim:
        """Who comes first."""
        acceptor = Victim.EXPOSE if self.case.is_forward else Victim.ACCEPTOR
        return self.case.victim if self.case.victim in ROLES else acceptor

    @property
    def second(self) -> Victim:
        """And who next."""
        (other,) = {*self.parties} - {self.first}
        return other

    @property
    @abstractmethod
    def parties(self) -> tuple[Victim, Victim]:
        """The two programs."""

    @abstractmethod
    async def start(self, who: Victim) -> None:
        """Start one, and what it needs to come to the lobby."""

    @abstractmethod
    async def meet(self) -> None:
        """Wait until they are connected, and both ways can be used."""

    @abstractmethod
    async def feed(self, piece: bytes, *, until: int = 0) -> None:
        """Give the sender something, and wait until so much has arrived."""

    @abstractmethod
    def end(self) -> None:
        """End the sender's input."""

    @abstractmethod
    async def ends(self) -> list[End]:
        """Wait until it is over for everybody who is left."""

    async def begin(self) -> None:
        """Come to the moment."""
        await self.start(self.first)
        await self.server.program.line(f"waiting: {ROLES[self.first]} {self.hint}")
        if self.case.moment is Moment.BEFORE:
            if self.first is not Victim.CONNECT:  # many clients wait there, and it reports none
                await self.programs[self.first].line('WAITING: |"waiting"')
            return
        await self.start(self.second)
        await self.meet()
        await self.feed(self.content[:HALF], until=HALF)
        if self.case.path is Path.MOVED:
            await self.move()
        if self.case.moment is Moment.FLIGHT:
            await self.feed(self.content[HALF:])
        elif self.case.moment is not Moment.MIDDLE:
            await self.feed(self.content[HALF:], until=len(self.content))
        if self.case.moment is Moment.ENDED:
            self.end()

    async def move(self) -> None:
        """Let the stream move; in full flight while it goes on."""
        programs = [self.programs[who] for who in self.parties]
        for program in programs:
            await program.line("CONNECTED.*: relay ")
        for program in programs:
            program.signal("USR1")
        if self.case.moment is Moment.FLIGHT:
            return
        for program in programs:
            await program.line("MOVED.*: p2p ")
        # Everything that was sent on the relay has been read, too.
        await self.server.program.line(f"relayed: {self.hint}, bytes from ")

    async def go_on(self) -> None:
        """Do what was left to do."""
        moment = self.case.moment
        if moment is Moment.BEFORE:
            await self.start(self.second)
            await self.feed(self.content[:HALF])
        if moment in (Moment.BEFORE, Moment.MIDDLE):
            await self.feed(self.content[HALF:])
        if moment is not Moment.ENDED:
            self.end()

    async def replace(self) -> None:
        """The victim is gone; another one takes its place."""
        victim = self.case.victim
        await self.server.program.line(f"left: {ROLES[victim]} {self.hint}")
        await self.start(victim)

    def rdv(self, who: Victim, *arguments: str, **descriptors: Any) -> Program:
        """Start the command of one."""
        options = (*self.case.path.value, *self.case.form.value, *self.server.options)
        if ROLES[who] == "dialer":
            options += ("--timeout", str(TIMEOUT))
        if self.case.fault is Fault.KILL_UNSEEN:
            descriptors["forked"] = False  # only its parent can see that it is stopped
        program = self.test.rdv(
            who.value,
            *(*options, self.server.url, self.token, *arguments),
            doom=self.case.doom if who is self.case.victim else "",
            held=self.case.path is Path.MOVED,
            **descriptors,
        )
        self.programs[who] = program
        return program

    def told(self) -> list[Told]:
        """What all have told that were not killed."""
        is_json = self.case.form is Form.JSON
        return [
            Told(
                who.value,
                program.exit_code,
                bytes(program.stderr),
                is_json,
                tells_end=not self.case.is_forward,
            )
            for who, program in self.programs.items()
            if program.exit_code != -9
        ]
