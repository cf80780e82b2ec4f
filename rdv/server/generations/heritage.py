"""
What a generation inherits from the previous one.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

__all__ = ["READY", "Heritage", "take_heritage"]

#: The environment variable that contains it.
_VARIABLE = "_RDV_HERITAGE"
#: What a new generation reports when it serves.
READY = b"ready\n"


@dataclass(frozen=True)
class Heritage:
    """
    Descriptors. The first generation has none.

    :ivar listening: sockets, by the names of :class:`rdv.server.generations.listeners.Listeners`.
    :ivar inbox: where clients arrive; None if there is none.
    :ivar said: the pipe to the previous generation; None if there is none.
    """

    listening: Sequence[tuple[str, int]] = field(default=())
    inbox: int | None = None
    said: int | None = None

    def to_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of a process that inherits this."""
        fields = {"listening": self.listening, "inbox": self.inbox, "said": self.said}
        return {**environ, _VARIABLE: json.dumps(fields)}

    def open_inbox(self) -> socket.socket | None:
        """The inbox as a socket; None if there is none."""
        if self.inbox is None:
            return None
        sock = socket.socket(fileno=self.inbox)
        sock.setblocking(False)
        return sock

    def say_ready(self) -> None:
        """Report to the previous generation that this one serves. Only once."""
        if self.said is not None:
            with suppress(OSError):  # the previous generation has gone
                os.write(self.said, READY)
            os.close(self.said)


def take_heritage(environ: MutableMapping[str, str]) -> Heritage:
    """The heritage. It is removed from the environment, so that no other process finds it."""
    text = environ.pop(_VARIABLE, None)
    if text is None:
        return Heritage()
    fields = json.loads(text)
    listening = [(name, number) for name, number in fields["listening"]]
    for number in (fields["inbox"], fields["said"], *(number for _, number in listening)):
        os.set_inheritable(number, False)
    return Heritage(listening, fields["inbox"], fields["said"])
