"""
The refusals of the server: each has a status and one line for humans.
"""

from __future__ import annotations

from typing import TypeAlias

from rdv.errors import BadRequest

__all__ = [
    "BEARER_MISSING",
    "BEARER_UNKNOWN",
    "BUSY",
    "DENIED",
    "EARLY",
    "ELSEWHERE",
    "EXPIRED",
    "FORGED",
    "FULL",
    "NOBODY",
    "REPLACED",
    "SHUTDOWN",
    "TOO_LATE",
    "UNANSWERED",
    "UNDECIDED",
    "UNDECIDED_PAIR",
    "UNSIGNED",
    "UNWANTED",
    "WORDS",
    "Refusal",
    "bad_request",
]

#: A status, and the line.
Refusal: TypeAlias = tuple[int, str]

REPLACED = (409, "replaced by another conn")
NOBODY = (408, "no matching peer found")
SHUTDOWN = (503, "shutting down, try again")
ELSEWHERE = (503, "the server is being replaced, try again")
EARLY = (400, "bytes before the response")
FULL = (503, "no room for more clients, try again later")
BUSY = (503, "the server is busy, try again")
UNDECIDED_PAIR = (500, "the server could not decide about this pair")

# Refusals by access checks.
TOO_LATE = (503, "could not check your access in time, try again")
UNDECIDED = (500, "the server could not decide about this client")
DENIED = (403, "this server does not serve your address")
BEARER_MISSING = (
    401,
    "this server requires Authorization: Bearer with a token: ask its operator for one",
)
BEARER_UNKNOWN = (
    401,
    "unknown bearer token: ask the server's operator for another one",
)
UNSIGNED = (403, "this server only accepts signed tokens: ask its operator for one")
FORGED = (403, "the token's signature is wrong: ask the server's operator for a new one")
EXPIRED = (403, "the token has expired: ask the server's operator for a new one")
UNANSWERED = (503, "could not check your access, try again")
#: By the status of the auth URL's response.
UNWANTED = {
    status: (status, "you may not use this server: ask its operator") for status in (401, 403)
}

#: The words by which refusals are counted; all others are counted by status.
WORDS: dict[Refusal, str] = {
    NOBODY: "nobody_came",
    REPLACED: "replaced",
    EARLY: "early_bytes",
    SHUTDOWN: "draining",
    ELSEWHERE: "replacing",
    FULL: "full",
    BUSY: "worker_busy",
    TOO_LATE: "auth_late",
    DENIED: "address_denied",
    BEARER_MISSING: "bearer_missing",
    BEARER_UNKNOWN: "bearer_unknown",
    UNSIGNED: "token_unsigned",
    FORGED: "token_forged",
    EXPIRED: "token_expired",
    UNANSWERED: "auth_unanswered",
    **dict.fromkeys(UNWANTED.values(), "auth_refused"),
}


def bad_request(refusal: Refusal) -> BadRequest:
    """The same refusal as an error."""
    status, text = refusal
    return BadRequest(text, status)
