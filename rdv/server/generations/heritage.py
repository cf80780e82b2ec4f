"""
What a generation has got from the one before.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

__all__ = ["READY", "Heritage", "take_heritage"]

#: Where it stands in the environment.
_VARIABLE = "_RDV_HERITAGE"
#: What a new generation says when it serves.
READY = b"ready\n"


@dataclass(frozen=True)
class Heritage:
    """
    Descriptors. The first generation has none.

    :ivar listening: sockets, by the names of :class:`rdv.server.generations.listeners.Listeners`.
    :ivar inbox: where clients arrive; None for nowhere.
    :ivar said: the pipe to the generation before; None when there is none.
    """

    listening: Sequence[tuple[str, int]] = field(default=())
    inbox: int | None = None
    said: int | None = None

    def to_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of a process that inherits this."""
        fields = {"listening": self.listening, "inbox": self.inbox, "said": self.said}
        return {**environ, _VARIABLE: json.dumps(fields)}

    def open_inbox(self) -> socket.socket | None:
        """It, as a socket; None when there is none."""
        if self.inbox is None:
            return None
        sock = socket.socket(fileno=self.inbox)
        sock.setblocking(False)
        return sock

    def say_ready(self) -> None:
        """Tell the generation before that this one serves. Only once."""
        if self.said is not None:
            with suppress(OSError):  # it has gone
                os.write(self.said, READY)
            os.close(self.said)


def take_heritage(environ: MutableMapping[str, str]) -> Heritage:
    """What there is. It is taken out of the environment, so that no other process finds it."""
    text = environ.pop(_VARIABLE, None)
    if text is None:
        return Heritage()
    fields = json.loads(text)
    listening = [(name, number) for name, number in fields["listening"]]
    for number in (fields["inbox"], fields["said"], *(number for _, number in listening)):
        os.set_inheritable(number, False)
    return Heritage(listening, fields["inbox"], fields["said"])
