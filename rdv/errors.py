"""
Exceptions. Their text can be shown to users.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing that of typing takes 5 ms
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
    "NoRelay",
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
    """Base class of all errors that rdv raises on purpose."""


class BadToken(RdvError):
    """
    An invalid token: empty, too long, or with characters that cannot be sent.
    """


class BadSecret(BadToken):
    """Text that is not a valid secret. The message does not contain it."""


class BadURL(RdvError):
    """A server URL that is not ``http://host[:port][/path]`` or ``https://...``."""


class BadEndpoint(RdvError):
    """An invalid place to listen: neither a port nor a Twisted server endpoint string."""


class BadSettings(RdvError):
    """
    Invalid server settings. The message is the first mistake.

    :ivar refusals: all mistakes, one line each.
    """

    def __init__(self, refusals: Sequence[str]) -> None:
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(f"{refusals[0]}{more}")
        self.refusals = refusals


class ProtocolError(RdvError):
    """The other side, peer or server, violated rdv/1."""


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
    The server's name cannot be resolved, the server cannot be reached, or the connection to it
    ended without a response.
    """


class NoServer(ServerUnreachable):
    """
    None of several servers accepts this client.

    :ivar errors: the error of each.
    :ivar retry_after: seconds after which the first of them may be contacted again, if all of them
        say so.
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
    :ivar reason: the reason that the server gave, one line, perhaps empty.
    :ivar retry_after: seconds after which it may be contacted again, if it says so.
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
    The HTTP proxy refuses to connect to the server.

    :param text: its message, for users.
    :ivar status: the proxy's HTTP status.
    """

    def __init__(self, text: str, status: int) -> None:
        RdvError.__init__(self, text)
        self.status = status
        self.reason = ""
        self.retry_after = None


class TokenInUse(ServerRefused):
    """
    Another client with the same token and role has taken this one's place in the lobby (409).

    :param refused: the server's refusal.
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


class NoRelay(NoConnection):
    """The server does not relay, and only the relay may be used: no peer can ever be reached."""


class NotProven(NoConnection):
    """
    A peer arrived for a secured stream, but did not prove that it knows the secret: another program
    uses the secret's server token, or somebody who knows that token keeps the peers apart, or
    nothing that the peer sent got through, or the server does not relay and there was no path. The
    next peer may be the right one: it is worth trying again.

    :param reasons: the result of each path.
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
    The attempt did not finish within the caller's timeout.

    :param seconds: the timeout.
    :param lacking: what had not happened, for users.
    """

    def __init__(self, seconds: float, lacking: str) -> None:
        super().__init__(f"no connection within {seconds:g} s: {lacking}")
        self.lacking = lacking


class WrongReactor(RdvError):
    """
    asyncio streams were requested on an event loop other than that of Twisted's reactor, where they
    would hang.
    """
