"""
Why an attempt failed, in a few words for a human.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
)
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from rdv._text import visible
from rdv._transport.liveness import PeerVanished
from rdv._transport.path_end import FirstPathLost, PeerNotProven

__all__ = [
    "NO_RELAY",
    "break_text",
    "describe",
    "is_of_tls",
    "loss_text",
    "printable",
    "refusal_text",
    "retry_after",
    "without_stack",
]


#: Why the relay cannot be used.
NO_RELAY = "this server does not relay"


def loss_text(reason: Failure) -> str:
    """Why a connection to the server ended without an answer."""
    error: Any = reason.value
    if _is_one(error, "OpenSSL.SSL", "Error"):
        # Its arguments are a list of (library, function, reason).
        details = [str(detail[-1]) for detail in (error.args[0] if error.args else [])]
        if "wrong version number" in details:  # what OpenSSL calls an answer in plain text
            details = ["the server does not use it at this port"]
        return "TLS: " + (", ".join(details) or "handshake failed")
    if _is_one(error, "service_identity", "VerificationError"):
        return "TLS: the certificate is not for this name"
    if reason.check(ConnectionDone):
        return "the connection ended without an answer"
    if reason.type is ConnectionLost:
        return _without_preface(error)
    return reason.getErrorMessage().rstrip(".")


def break_text(reason: Failure, who: str = "the peer", *, relayed: bool = False) -> str:
    """
    Why an established connection was lost.

    :param who: the other end.
    :param relayed: the server is in between, so it is unknown which of the two it was.
    """
    if reason.check(PeerVanished, PeerNotProven):
        return reason.getErrorMessage()
    if reason.check(ConnectionAborted):
        return "an error on this side broke the connection"
    if reason.check(ConnectionDone, ConnectionLost):
        relayed = relayed or reason.check(FirstPathLost) is not None
        return f"{who} broke the connection{', or the relay did' if relayed else ''}"
    return loss_text(reason)


def refusal_text(status: int, headers: Headers, body: bytes) -> str:
    """The text of a refusal, if it is plain text; the target of a redirect, if it is one."""
    if 300 <= status < 400 and (places := headers.getRawHeaders(b"location")):
        return f"moved to {printable(places[0])}"
    if not headers.getRawHeaders(b"content-type", [b"text/plain"])[0].startswith(b"text/plain"):
        return ""
    return printable(body.strip().partition(b"\n")[0])


def retry_after(headers: Headers) -> float | None:
    """Seconds until a server wants the next request (RFC 9110, 10.2.3); a date is ignored."""
    text = headers.getRawHeaders(b"retry-after", [b""])[0].strip()
    return float(text) if re.fullmatch(b"[0-9]{1,9}", text) else None


def printable(text: bytes) -> str:
    """Text from the other side, without terminal control characters."""
    return visible(text.decode(errors="replace")[:200])


def is_of_tls(error: BaseException | None) -> bool:
    """Whether it is an error of TLS, or was caused by one."""
    while error is not None and not _is_one(error, "OpenSSL.SSL", "Error"):
        error = error.__cause__
    return error is not None


def _is_one(error: BaseException, module: str, name: str) -> bool:
    """Whether it is an exception of a module for TLS, which is not loaded just for this check."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(error, getattr(loaded, name))


def describe(error: BaseException | None) -> str:
    """Why a connection could not be made, or did not last."""
    number = getattr(error, "osError", None)
    if isinstance(error, DNSLookupError):
        return "the name does not resolve"
    if isinstance(number, int):
        return os.strerror(number).lower()
    if isinstance(error, ConnectTimeoutError | DeferTimeoutError):
        return "no answer in time"
    if type(error) is ConnectionLost:
        return _without_preface(error)
    return str(error).rstrip(".") or type(error).__name__


def _without_preface(error: ConnectionLost) -> str:
    """What it says after Twisted's "Connection to the other side was lost in a ..."."""
    text = " ".join(str(each) for each in error.args).rstrip(".")
    return "the connection was lost" if text in ("", "Connection lost") else text


def without_stack(failure: Failure) -> Failure:
    """
    The same failure, for when it does not matter where it was raised. The stack refers to
    everything that was running, which may refer to the failure: a cycle that only the garbage
    collector can free.
    """
    failure.tb = None
    if failure.value is not None:
        failure.value.__traceback__ = None
    return failure
