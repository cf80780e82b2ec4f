"""
``rdv dial`` sends what it gets through a pipe, and ``rdv accept </dev/null`` receives it.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.scene import ROLES, Scene
from tests.faults.table import Form, Victim
from tests.faults.verdict import End

__all__ = ["Stream"]


class Stream(Scene):
    """See above."""

    parties = (Victim.DIALER, Victim.ACCEPTOR)
    _path = ""

    async def start(self, who: Victim) -> None:
        if who is Victim.DIALER:
            self.rdv(who)
            return
        null = os.open(os.devnull, os.O_RDONLY)
        stdout = None
        if self.case.form is Form.JSON:
            self._path = self.test.mktemp()
            stdout = os.open(self._path, os.O_WRONLY | os.O_CREAT)
        try:
            self.rdv(who, stdin=null, stdout=stdout)
        finally:
            os.close(null)
            if stdout is not None:
                os.close(stdout)

    async def meet(self) -> None:
        """The bytes will show it."""

    async def feed(self, piece: bytes, *, until: int = 0) -> None:
        self.programs[Victim.DIALER].write(piece)
        acceptor = self.programs[Victim.ACCEPTOR]
        if until and self.case.form is Form.JSON:
            await acceptor.line(rf'"bytes".*"received": {until}\b')
        elif until:
            await acceptor.received(until)

    def end(self) -> None:
        self.programs[Victim.DIALER].close_stdin()

    async def ends(self) -> list[End]:
        dialer, acceptor = [self.programs[who] for who in self.parties]
        sent, received = await dialer.ended, await acceptor.ended
        got = Path(self._path).read_bytes() if self._path else bytes(acceptor.stdout)
        return [
            self._end(Victim.DIALER, sent, bytes(dialer.stdout), b"", vouches=True),
            self._end(Victim.ACCEPTOR, received, got, self.content),
        ]

    def _end(
        self, who: Victim, status: int, got: bytes, wanted: bytes, *, vouches: bool = False
    ) -> End:
        """What became of one. A victim ends as it is told to."""
        name = f"the {ROLES[who]} (status {status})"
        is_left = who is not self.case.victim or not self.case.goes_away
        broken = self.case.broken_status(who) if is_left else status
        return End(name, status == 0, got, wanted, vouches, status in (0, broken))
