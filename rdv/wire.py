"""
The rdv/1 protocol without any I/O: requests, answers and the two handshake lines, as bytes.

Section numbers refer to the page *The rdv/1 protocol* of the documentation.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple, TypeAlias

from rdv import _knobs as knobs
from rdv._extras import elements, other_ports, relays, said_beyond
from rdv._signed_token import read_signed
from rdv._text import visible
from rdv.addresses import Address, canonical_address, parse_address
from rdv.errors import BadRequest, BadToken, ProtocolError

__all__ = [
    "MAX_PEER_ADDRESSES",
    "MAX_SELF_ADDRESSES",
    "MAX_TOKEN",
    "PROTOCOL",
    "RETRY_AFTER",
    "RETRY_LATER",
    "Answer",
    "HeaderLookup",
    "Offer",
    "Role",
    "check_token",
    "confirm_line",
    "hello_line",
    "is_secret",
    "other_ports",
    "parse_answer",
    "parse_offer",
    "refusal",
    "request_headers",
    "switching_protocols",
    "token_hint",
]

#: The protocol to which a client upgrades.
PROTOCOL = b"rdv/1"

#: How many addresses a client may report.
MAX_SELF_ADDRESSES = 9
#: How many addresses of its peer a client gets: the reported ones and the observed one.
MAX_PEER_ADDRESSES = MAX_SELF_ADDRESSES + 1
#: The longest token, in bytes.
MAX_TOKEN = 8192
#: The statuses of a temporary refusal (RFC 6585, 4, and RFC 9110, 15.6.4), which has a Retry-After:
RETRY_LATER = frozenset((429, 503))
#: seconds after which the client may retry.
RETRY_AFTER = 10

_SECRET = re.compile(r"rdvs[0-9]+-", re.IGNORECASE)
_ZONE = re.compile(r"%[^%\[\]]+\]")

#: Gives all values of a header by its name, in order; an empty sequence when it is missing.
HeaderLookup: TypeAlias = Callable[[bytes], Sequence[bytes]]


class Role(enum.Enum):
    """The role of a client; the value is its HTTP method."""

    DIALER = b"DIAL"
    ACCEPTOR = b"ACCEPT"

    @property
    def other(self) -> Role:
        """The role of its partner."""
        return Role.ACCEPTOR if self is Role.DIALER else Role.DIALER


class Offer(NamedTuple):
    """
    The contents of a client's request (section 1).

    :ivar addresses: the client's own addresses, formatted.
    """

    role: Role
    token: bytes
    addresses: str = ""

    def __repr__(self) -> str:
        return f"Offer(role={self.role!r}, addresses={self.addresses!r})"


class Answer(NamedTuple):
    """
    The contents of the server's 101 (section 2).

    :ivar observed: this client's address as the server saw it, None when the server does not know.
    :ivar peer_addresses: the peer's own addresses in its order, then its observed one.
    :ivar relays: whether the server relays.
    """

    observed: Address | None
    peer_addresses: Sequence[Address]
    relays: bool = True


def check_token(token: str | bytes, *, may_be_secret: bool = False) -> bytes:
    """
    The token as it is sent.

    :param may_be_secret: for callers that do not send it anywhere.
    :raises BadToken: when it is empty, longer than :data:`MAX_TOKEN` bytes, not UTF-8, or has a
        control character anywhere or a blank at an end, or is a secret.
    :raises TypeError: when it is neither text nor bytes.
    """
    knobs.instance("token", token, (str, bytes), "text or bytes")
    try:
        raw = token.encode() if isinstance(token, str) else token
        text = raw.decode()
    except UnicodeError:
        raise BadToken("the token is not valid UTF-8") from None
    if not text:
        raise BadToken("the token is empty")
    if len(raw) > MAX_TOKEN:
        raise BadToken(f"the token has {len(raw)} bytes, more than {MAX_TOKEN}")
    if is_secret(text) and not may_be_secret:
        raise BadToken("a secret must not be used as a token")
    if text != text.strip(" "):
        raise BadToken("the token starts or ends with a space")
    if not text.isprintable() and any(unicodedata.category(char) == "Cc" for char in text):
        raise BadToken("the token contains a control character")
    return raw


def is_secret(text: str) -> bool:
    """
    Whether it has the form of a secret of a secured stream, of any version (section 8): it must
    then not be shown to anyone, least of all to a server.
    """
    return _SECRET.match(text) is not None


def token_hint(token: bytes) -> str:
    """
    Enough of a token to distinguish it in a log, but never more than half of it. It comes from a
    client, so it is made safe to show.
    """
    signed = read_signed(token)
    # Neither its expiry nor its user distinguishes it from other tokens.
    text = token.decode(errors="replace") if signed is None else signed.nonce
    text = text.removeprefix("rdv-secure-1-")
    return visible(text[: min(4, len(text) // 2)]) + "…"


def request_headers(offer: Offer) -> list[tuple[bytes, bytes]]:
    """The headers that make a request an offer, to be sent with the method ``offer.role.value``."""
    headers = [(b"Connection", b"upgrade"), (b"Upgrade", PROTOCOL), (b"Rdv-Token", offer.token)]
    if offer.addresses:
        headers.append((b"Rdv-Self-Addrs", offer.addresses.encode()))
    return headers


def parse_offer(method: bytes, version: bytes, header: HeaderLookup) -> Offer:
    """
    Parse a client's request.

    :param version: as in the request line, ``b"HTTP/1.1"``.
    :raises BadRequest: with status 426 when it is not an upgrade to rdv/1, otherwise with 400.
    """
    if version != b"HTTP/1.1":
        raise BadRequest("an upgrade needs HTTP/1.1", 426)
    _only(header, b"Host")  # RFC 9112, 3.2
    if not _lists(header(b"Connection"), b"upgrade"):
        raise BadRequest("missing Connection: upgrade", 426)
    upgrades = header(b"Upgrade")
    if not _lists(upgrades, PROTOCOL):
        named = "another protocol" if elements(upgrades) else "none"
        raise BadRequest(f"missing Upgrade: rdv/1 (got {named})", 426)
    try:
        role = Role(method)
    except ValueError:
        raise BadRequest("the method is neither DIAL nor ACCEPT") from None
    try:
        token = check_token(_only(header, b"Rdv-Token"))
    except BadToken as error:
        raise BadRequest(str(error)) from None
    try:
        own = _listed(header(b"Rdv-Self-Addrs"), MAX_SELF_ADDRESSES)
        return Offer(role, token, ", ".join(map(canonical_address, own)))
    except ValueError as error:
        raise BadRequest(f"unreadable Rdv-Self-Addrs: {error}") from None


def parse_answer(header: HeaderLookup) -> Answer:
    """
    Parse the headers of a server's 101.

    :raises ProtocolError: when it does not switch to rdv/1, or an address is invalid, or there are
        more than :data:`MAX_PEER_ADDRESSES`. An address with a zone, which old servers pass on, is
        skipped: it means nothing on another host.
    """
    if b"upgrade" not in elements(header(b"Connection")):
        raise ProtocolError("the server's 101 lacks Connection: upgrade")
    if elements(header(b"Upgrade")) != [PROTOCOL]:
        raise ProtocolError("the server's 101 does not switch to rdv/1")
    try:
        observed = _addresses(header(b"Rdv-Observed-Addr"), 1)
        peers = _addresses(header(b"Rdv-Peer-Addrs"), MAX_PEER_ADDRESSES)
    except ValueError as error:
        raise ProtocolError(f"unreadable addresses in the server's 101: {error}") from None
    return Answer(observed[0] if observed else None, peers, relays(header))


def switching_protocols(
    observed: str, peer_addresses: str, others: Sequence[int] = (), *, has_relay: bool = True
) -> bytes:
    """
    The whole head of a 101 (section 2), to be sent in one write.

    :param observed: the receiver's observed address, empty when it is not known.
    :param peer_addresses: its peer's addresses, already formatted.
    :param others: the server's other ports.
    :param has_relay: whether the server relays.
    """
    seen = f"Rdv-Observed-Addr: {observed}\r\n" if observed else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rdv/1\r\n"
        f"{seen}{said_beyond(others, has_relay)}Rdv-Peer-Addrs: {peer_addresses}\r\n\r\n"
    ).encode()


def refusal(status: int, reason: str, later: int = RETRY_AFTER) -> bytes:
    """
    A complete HTTP response that refuses an offer whose connection has already left HTTP.

    :param reason: one line for a human; line breaks in it become blanks.
    :param later: seconds after which the client may retry, with a 503.
    """
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Refused"
    body = " ".join(reason.split()).encode(errors="replace") + b"\n"
    retry = f"Retry-After: {later}\r\n" if status in RETRY_LATER else ""
    return (
        f"HTTP/1.1 {status} {phrase}\r\nConnection: close\r\n{retry}"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def hello_line(token: bytes) -> bytes:
    """The line that the acceptor sends on every candidate (section 3)."""
    return b"rdv/1 HELLO " + token + b"\r\n"


def confirm_line(token: bytes) -> bytes:
    """The line that the dialer sends on the candidate that it has chosen (section 3)."""
    return b"rdv/1 CONFIRM " + token + b"\r\n"


def _only(header: HeaderLookup, name: bytes) -> bytes:
    """The value of a header that a request must have once."""
    values = header(name)
    if len(values) != 1:
        raise BadRequest(f"{'more than one' if values else 'missing'} {name.decode()}")
    return values[0]


def _lists(values: Sequence[bytes], element: bytes) -> bool:
    """Whether a list-valued header has an element; most have no other."""
    return element in values or element in elements(values)


def _listed(values: Iterable[bytes], most: int) -> list[str]:
    """The elements of an address list; ValueError if there are too many."""
    joined = b",".join(values).decode("ascii", "replace")
    elements = [element for element in map(str.strip, joined.split(",")) if element]
    if len(elements) > most:  # counted first: a header has room for thousands
        raise ValueError(f"more than {most}")
    return elements


def _addresses(values: Iterable[bytes], most: int) -> list[Address]:
    """Parse an address list, skipping addresses with a zone; ValueError says what is wrong."""
    elements = _listed(values, most)
    parsed = [parse_address(_ZONE.sub("]", each)) for each in elements]
    return [address for address, text in zip(parsed, elements, strict=True) if "%" not in text]
