"""
What can go wrong, as exceptions whose text can be shown to a person.
"""

from __future__ import annotations

TYPE_CHECKING = False  # that of typing takes 5 ms to load
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AttemptTimeout",
    "BadEndpoint",
    "BadRequest",
    "BadSecret",
    "BadSettings",
    "BadToken",
    "BadURL",
    "NoConnection",
    "NoServer",
    "NotProven",
    "ProtocolError",
    "ProxyRefused",
    "RdvError",
    "ServerRefused",
    "ServerUnreachable",
    "TokenInUse",
    "WrongReactor",
]


class RdvError(Exception):
    """Base of every error that rdv raises on purpose."""


class BadToken(RdvError):
    """
    A token that cannot travel: empty, too long, or with characters that the wire has no room for.
    """


class BadSecret(BadToken):
    """Text that is no secret of a secured stream. The message does not repeat it."""


class BadURL(RdvError):
    """A server URL that is not ``http://host[:port][/path]`` or ``https://...``."""


class BadEndpoint(RdvError):
    """What to listen on that cannot be: no port, and no server endpoint string of Twisted's."""


class BadSettings(RdvError):
    """
    Settings of a server that cannot be. The message is the first thing that is wrong.

    :ivar refusals: all of it, a line each.
    """

    def __init__(self, refusals: Sequence[str]) -> None:
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(f"{refusals[0]}{more}")
        self.refusals = refusals


class ProtocolError(RdvError):
    """The other side, peer or server, said something that rdv/1 does not allow."""


class BadRequest(ProtocolError):
    """
    A request that the server refuses.

    :ivar status: the HTTP status of the answer.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class ServerUnreachable(RdvError):
    """
    The server cannot be resolved or connected to, or the connection to it ended without an answer.
    """


class NoServer(ServerUnreachable):
    """
    None of several servers lets us wait.

    :ivar errors: what has become of each.
    :ivar retry_after: seconds after which the first of them may be asked again, if each says so.
    """

    def __init__(self, errors: list[RdvError]) -> None:
        super().__init__("no server accepts this client: " + "; ".join(map(str, errors)))
        self.errors = errors
        asked_for = [getattr(each, "retry_after", None) or 0.0 for each in errors]
        self.retry_after: float | None = min(asked_for) or None


class ServerRefused(RdvError):
    """
    The server answered, but not with 101.

    :ivar status: the HTTP status.
    :ivar reason: what the server gave as its reason, one line, perhaps empty.
    :ivar retry_after: seconds after which it may be asked again, if it says so.
    """

    def __init__(
        self,
        server: str,
        status: int,
        phrase: str,
        reason: str,
        retry_after: float | None = None,
    ) -> None:
        detail = f": {reason}" if reason else ""
        super().__init__(f"{server} refused: {status} {phrase}{detail}")
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class ProxyRefused(ServerRefused):
    """
    The HTTP proxy does not let us through to the server.

    :param text: what it says, for a person.
    :ivar status: the proxy's HTTP status.
    """

    def __init__(self, text: str, status: int) -> None:
        RdvError.__init__(self, text)
        self.status = status
        self.reason = ""
        self.retry_after = None


class TokenInUse(ServerRefused):
    """
    Another client with the same token and role has taken our place in the lobby (409).

    :param refused: how the server said so.
    :param does: what such a client does: it ``accepts``, or it ``dials``.
    """

    def __init__(self, refused: ServerRefused, does: str) -> None:
        RdvError.__init__(
            self, f"another program {does} with the same token and replaced this one ({refused})"
        )
        self.status = refused.status
        self.reason = refused.reason
        self.retry_after = refused.retry_after


class NoConnection(RdvError):
    """The server introduced the peers, but no path could be established, not even the relay."""


class NotProven(NoConnection):
    """
    A peer arrived for a secured stream, but did not prove that it knows the secret: another program
    uses the secret's server token, or somebody who knows that token keeps the peers apart, or
    nothing that the peer sent got through, or the server does not relay and there was no path. The
    next peer may be the right one: it is worth trying again.

    :param reasons: what became of each path.
    :param has_come: whether there was any path, including the relay.
    """

    def __init__(self, reasons: str, *, has_come: bool = True) -> None:
        text = (
            "the peer did not prove that it knows the secret: another program is using the secret, "
            "or somebody who knows its server token is keeping peers apart"
        )
        super().__init__(f"{text if has_come else 'no path to the peer'} ({reasons})")


class AttemptTimeout(RdvError):
    """
    The attempt did not end within the time that the caller gave it.

    :param seconds: that time.
    :param lacking: what had not happened, for a person.
    """

    def __init__(self, seconds: float, lacking: str) -> None:
        super().__init__(f"no connection within {seconds:g} s: {lacking}")
        self.lacking = lacking


class WrongReactor(RdvError):
    """
    asyncio's streams are wanted on another event loop than that of Twisted's reactor, where they
    would wait for ever.
    """
