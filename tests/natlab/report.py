"""
The result of a meeting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Report", "Result"]


@dataclass
class Report:
    """
    What one peer's program reported. Times are the system's monotonic clock, in seconds.

    :ivar called: when it was told to connect.
    :ivar connected: when it reported that it was.
    :ivar first_byte: when the application got its first byte.
    :ivar direct: when it was connected directly, from the start or by a move.
    :ivar complete: whether the conversation and the connection ended cleanly.
    :ivar is_relay: which path the program believes it has.
    :ivar peer: the address at the other end.
    :ivar error: in words; empty when all went well.
    """

    called: float | None = None
    connected: float | None = None
    first_byte: float | None = None
    direct: float | None = None
    complete: bool = False
    is_relay: bool | None = None
    peer: str = ""
    error: str = ""

    @property
    def half_dead(self) -> bool:
        """Connected, and then not a single byte."""
        return self.connected is not None and self.first_byte is None


@dataclass
class Result:
    """
    One meeting.

    :ivar dialer_counters: see :data:`tests.natlab.rules.COUNTERS`.
    """

    dialer: Report
    acceptor: Report
    dialer_counters: dict[str, int] = field(default_factory=dict)
    acceptor_counters: dict[str, int] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """
        Which way the application's bytes came, as the counters have it: ``direct``, ``relay``,
        ``mixed``, or ``none`` when not both peers got some.
        """
        ways = set()
        for counters in (self.dialer_counters, self.acceptor_counters):
            direct, relayed = counters["data_in_other"], counters["data_in_server"]
            if not direct and not relayed:
                return "none"
            ways.add("mixed" if direct and relayed else "direct" if direct else "relay")
        return ways.pop() if len(ways) == 1 else "mixed"

    @property
    def ok(self) -> bool:
        """Whether both said and heard all there was to say."""
        return self.dialer.complete and self.acceptor.complete

    @property
    def half_dead(self) -> bool:
        """Whether a program believed in a connection that never carried a byte to it."""
        return self.dialer.half_dead or self.acceptor.half_dead

    @property
    def seconds(self) -> float | None:
        """From the dialer's start to its application's first byte."""
        if self.dialer.called is None or self.dialer.first_byte is None:
            return None
        return self.dialer.first_byte - self.dialer.called

    @property
    def connect_seconds(self) -> float | None:
        """From the dialer's start to its word that it is connected."""
        if self.dialer.called is None or self.dialer.connected is None:
            return None
        return self.dialer.connected - self.dialer.called

    @property
    def direct_seconds(self) -> float | None:
        """From the dialer's start to its word that the stream goes directly, if it did."""
        if self.dialer.called is None or self.dialer.direct is None:
            return None
        return self.dialer.direct - self.dialer.called

    @property
    def syns(self) -> tuple[int, int]:
        """SYNs sent by dialer and acceptor, to the server and to anybody else."""
        one, other = self.dialer_counters, self.acceptor_counters
        return (
            one["syn_server"] + one["syn_other"],
            other["syn_server"] + other["syn_other"],
        )

    def line(self) -> str:
        """For a person."""
        words = [f"{self.path:6}", _milliseconds(self.connect_seconds), _milliseconds(self.seconds)]
        words.append("SYNs {}+{}".format(*self.syns))
        words.append(f"{self.dialer.peer or '-'} {self.acceptor.peer or '-'}")
        if self.half_dead:
            words.append("HALF-DEAD")
        for name, report in (("dialer", self.dialer), ("acceptor", self.acceptor)):
            if report.error:
                words.append(f"{name}: {report.error}")
        return "  ".join(words)

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return {
            "path": self.path,
            "ok": self.ok,
            "half_dead": self.half_dead,
            "seconds": self.seconds,
            "connect_seconds": self.connect_seconds,
            "direct_seconds": self.direct_seconds,
            "syns": self.syns,
            "dialer": vars(self.dialer),
            "acceptor": vars(self.acceptor),
            "dialer_counters": self.dialer_counters,
            "acceptor_counters": self.acceptor_counters,
        }


def _milliseconds(seconds: float | None) -> str:
    return "      - ms" if seconds is None else f"{seconds * 1000:7.1f} ms"
