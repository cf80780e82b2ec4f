"""
What the commands report about the path of a connection: the first one, and each change.
"""

from __future__ import annotations

from typing import Protocol

from rdv.client.stream.connection import Connection

__all__ = ["Tell", "tell_connected", "tell_moved"]


class Tell(Protocol):
    """Reports an event, as :meth:`rdv._stdio.console.Console.tell`."""

    def __call__(self, event: str, text: str = "", **fields: object) -> None: ...


def tell_connected(
    tell: Tell, connection: Connection, seconds: float, forward: int | None = None, **fields: object
) -> None:
    """
    Report a new connection.

    :param seconds: how long it took.
    :param forward: the number of the forward that it is for, if there are several.
    :param fields: additional fields for a program.
    """
    secure, milliseconds = connection.is_secure, round(seconds * 1000)
    text = f"{_text('CONNECTED', connection, forward)},{' secure,' * secure} {milliseconds}ms"
    known = {**_fields(connection, forward), "secure": secure, "milliseconds": milliseconds}
    tell("connected", text, **known, **fields)


def tell_moved(
    tell: Tell, connection: Connection, seconds: float, forward: int | None = None
) -> None:
    """
    Report that a connection has moved to another path.

    :param seconds: how long it had been established.
    """
    milliseconds = round(seconds * 1000)
    time = f"{milliseconds}ms" if milliseconds < 1000 else f"{seconds:.1f}s"
    text = f"{_text('MOVED', connection, forward)}, {time}"
    tell("moved", text, **_fields(connection, forward), milliseconds=milliseconds)


def _text(what: str, connection: Connection, forward: int | None) -> str:
    which = "" if forward is None else f" {forward}"
    return f"{what}{which}: {_kind(connection)} {connection.peer_address}"


def _fields(connection: Connection, forward: int | None) -> dict[str, object]:
    which = {} if forward is None else {"forward": forward}
    return {**which, "path": _kind(connection), "peer": str(connection.peer_address)}


def _kind(connection: Connection) -> str:
    return "relay" if connection.is_relay else "p2p"
