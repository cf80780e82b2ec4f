"""
An application that writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from rdv.test.client.probation_doubles import ProbationTestCase, Source

#: What an application does: write so many bytes, let a producer of one kind write so many pieces,
#: or let some time pass.
Step: TypeAlias = tuple[str, int]
#: How much a producer writes at a time.
PIECE = 17_000


class Application:
    """
    Writes a stream that nobody could mistake, and remembers it.

    :ivar written: all of it.
    :ivar sources: its producers.
    """

    def __init__(self, test: ProbationTestCase) -> None:
        self._test = test
        self._number = 0
        self._waiting: list[Step] = []
        self._producing = False
        self.written = b""
        self.sources: list[Source] = []
        self._finish: Callable[[], object] = lambda: None

    def write(self, size: int) -> None:
        """So many bytes, unlike all others."""
        self._number += 1
        data = self._number.to_bytes(3, "big") * (size // 3 + 1)
        self.written += data[:size]
        self._test.connection.write(data[:size])

    def run(self, steps: list[Step]) -> None:
        """Take these steps, each when the producer of the one before it is done."""
        self._waiting += steps
        self._go_on()

    def end(self, how: str) -> None:
        """Call a method of the connection when all steps are taken."""
        if how:
            self._finish = getattr(self._test.connection, how)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and not self._producing:
            kind, number = self._waiting.pop(0)
            if kind == "write":
                self.write(number)
            elif kind == "turn":
                self._producing = True
                self._test.clock.callLater(0, self._done)
            else:
                self._produce(number, streaming=kind == "push")
        if not self._waiting and not self._producing:
            finish, self._finish = self._finish, lambda: None
            finish()

    def _produce(self, pieces: int, *, streaming: bool) -> None:
        self._producing = True
        connection = self._test.connection

        def done() -> None:
            connection.unregisterProducer()
            self._done()

        source = Source(
            self._test.clock, pieces, lambda: self.write(PIECE), done, streaming=streaming
        )
        self.sources.append(source)
        connection.registerProducer(source, streaming)
        source.begin()

    def _done(self) -> None:
        self._producing = False
        self._go_on()


class WritingTestCase(ProbationTestCase):
    """An application writes."""

    def begin(self, **options: bool) -> None:  # type: ignore[override]
        super().begin(**options)  # type: ignore[arg-type]
        self.application = Application(self)

    def switch(self) -> None:
        """The direct path is dead."""
        self.direct.lose()
