"""
The messages between a parent and its workers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rdv.settings import ServerSettings

__all__ = [
    "ABORT",
    "ALL_ANSWER",
    "COMMANDS",
    "COUNTED",
    "DRAIN",
    "GO",
    "HAND_OVER",
    "HANGING",
    "PING",
    "PONG",
    "READY",
    "RELOAD",
    "SETTINGS",
    "START",
    "STATISTICS",
    "Hearing",
    "Start",
    "decode_settings",
    "encode_settings",
]

#: The environment variable with the start parameters, and the descriptor of the commands.
START = "RDV_WORKER_START"
COMMANDS = 0
#: Commands, a line each.
GO, DRAIN, HAND_OVER, ABORT, RELOAD, PING = b"g\n", b"d\n", b"o\n", b"a\n", b"r\n", b"p\n"
#: Commands for the health checks: another worker does not answer; all of them answer again.
HANGING, ALL_ANSWER = b"h\n", b"H\n"
#: Command: report the counters.
STATISTICS = b"s\n"
#: The beginning of a line with the settings that take effect at the next RELOAD.
SETTINGS = b"="
#: Reports to the parent, a line each; other reports are log events as JSON.
READY, PONG = b"ready", b"pong"
#: The beginning of a report of the counters.
COUNTED = b"counted "


@dataclass(frozen=True)
class Start:
    """
    The start parameters of a worker.

    :ivar index: its number, from 0.
    :ivar workers: the number of workers.
    :ivar reports: the number of the pipe for readiness and log, after which its descriptors begin.
    :ivar ports: the names of the listening sockets that it inherits.
    :ivar level: the name of the lowest level that is logged.
    :ivar asyncio: whether it runs Twisted's asyncio reactor, as the parent does: hooks may need it.
    :ivar has_arrivals: whether clients may arrive from the previous generation.
    """

    index: int
    workers: int
    reports: int
    ports: Sequence[str]
    level: str
    settings: ServerSettings
    asyncio: bool = False
    has_arrivals: bool = False

    def to_json(self) -> str:
        """The value of the environment variable :data:`START`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Start:
        """Parse the output of :meth:`to_json`."""
        fields = json.loads(text)
        return cls(**{**fields, "settings": _settings(fields["settings"])})


def encode_settings(settings: ServerSettings) -> bytes:
    """The command with new settings; it begins with :data:`SETTINGS`."""
    return SETTINGS + json.dumps(asdict(settings)).encode() + b"\n"


def decode_settings(line: bytes) -> ServerSettings:
    """Parse the output of :func:`encode_settings`."""
    return _settings(json.loads(line.removeprefix(SETTINGS)))


def _settings(fields: dict[str, Any]) -> ServerSettings:
    for name, value in fields.items():  # JSON has no tuples
        fields[name] = tuple(value) if isinstance(value, list) else value
    return ServerSettings(**fields)


class Hearing:
    """
    Executes commands; a consumer, see :class:`rdv._flows.sources.Consumer`.

    :param orders: the action for each line.
    :param wanted: called with the settings that take effect at the next reload.
    """

    def __init__(
        self,
        orders: Mapping[bytes, Callable[[], object]],
        wanted: Callable[[ServerSettings], object],
    ) -> None:
        self._orders = orders
        self._wanted = wanted
        self._unfinished = b""

    def write(self, data: bytes) -> None:
        """Execute the commands, in order."""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            if line.startswith(SETTINGS):
                self._wanted(decode_settings(line))
            else:
                self._orders[line + b"\n"]()

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """See :class:`rdv._flows.sources.Consumer`."""

    def unregisterProducer(self) -> None:
        """See :class:`rdv._flows.sources.Consumer`."""
