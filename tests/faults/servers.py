"""
The servers of the cases: a shared one that is never a victim, and one for each case in which it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rdv.server.workers.assignment import owner_of
from rdv.test.certificates import Authority
from tests.faults.table import SERVING, Case, Scheme, Victim
from tests.processes import Program
from tests.servers import SystemTestCase

__all__ = ["Server", "Servers"]

WORKERS = 2


@dataclass(frozen=True)
class Server:
    """
    A running server.

    :ivar url: where clients find it.
    :ivar options: the options with which they trust it.
    """

    program: Program
    url: str
    options: tuple[str, ...]

    def owner(self, token: bytes) -> tuple[int, int]:
        """The worker that a token belongs to: its index, and its process."""
        index = owner_of(token, WORKERS)
        found = re.findall(rb"worker %d serves as process (\d+)" % index, self.program.stderr)
        return index, int(found[-1])


class Servers:
    """Starts them. They are killed when the test is over."""

    def __init__(self, test: SystemTestCase) -> None:
        self._test = test
        self._shared: dict[Scheme, Server] = {}
        authority = Authority()
        self._pem = test.file_of(authority.issue("127.0.0.1"))
        self._trust = ("--ca", test.file_of(authority.pem))

    async def share(self) -> None:
        """Start those that several cases use."""
        for scheme in Scheme:
            self._shared[scheme] = await self._start(scheme)

    async def server_for(self, case: Case) -> Server:
        """The one for this case."""
        if case.victim not in SERVING:
            return self._shared[case.scheme]
        workers = ("--workers", str(WORKERS)) if case.victim is Victim.WORKER else ()
        return await self._start(case.scheme, *workers, doom=case.doom)

    async def another(self, case: Case, server: Server) -> Server:
        """One in the place of one that is gone."""
        port = int(re.findall(r":(\d+)/", server.url)[0])
        return await self._start(case.scheme, port=port)

    async def _start(self, scheme: Scheme, *options: str, port: int = 0, doom: str = "") -> Server:
        test, options = self._test, ("--drain", "30", *options)
        if scheme is Scheme.HTTP:
            program = await test.serve(*options, listen=f"127.0.0.1:{port}", doom=doom)
            return Server(program, test.url, ())
        listen = f"ssl:{port}:interface=127.0.0.1:privateKey={self._pem}:certKey={self._pem}"
        program = await test.serve(*options, listen=listen)
        return Server(program, f"https://127.0.0.1:{test.port}/rdv", self._trust)
