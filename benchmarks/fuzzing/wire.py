"""
Heads and lines from strangers, and the parts of them that are passed between processes.
"""

from __future__ import annotations

from contextlib import suppress

from benchmarks.fuzzing.engine import Target, cut
from rdv._line_matcher import LineMatcher
from rdv._secure.secret import Secret, read_token
from rdv._signed_token import SignedToken, read_signed, sign, verifies
from rdv.addresses import (
    canonical_address,
    endpoint_text,
    host_of,
    network_of,
    network_text,
    packed_ip,
    parse_address,
    space_of,
)
from rdv.errors import BadRequest, BadSecret, BadToken, ProtocolError
from rdv.server.logs.addresses import FULL, NONE, PREFIX, masked, masked_host
from rdv.server.passing.message import PassedClient, decode, encode
from rdv.test.secure.test_handshake import SECRET
from rdv.test.server.doubles import HEADERS
from rdv.wire import (
    MAX_PEER_ADDRESSES,
    HeaderLookup,
    Role,
    hello_line,
    parse_answer,
    parse_offer,
    refusal,
    request_headers,
    switching_protocols,
    token_hint,
)

__all__ = ["TARGETS"]

_KEY = b"k" * 32
_SIGNED = sign(_KEY, SignedToken(4_000_000_000, "alice", "nonce"))
_PASSED = PassedClient(Role.DIALER, b"token", "192.0.2.1:7", "[2001:db8::7]:80", "alice", 7, 1.5)
_OFFER = b"".join(b"%s: %s\n" % each for each in HEADERS.items())
_ANSWER = switching_protocols("192.0.2.1:5", "192.0.2.7:80, [2001:db8::7]:80", [443])
_MOST = switching_protocols("", ", ".join(["192.0.2.7:80"] * MAX_PEER_ADDRESSES))
_ADDRESSES = (b"192.0.2.1:80", b"[2001:db8::7]:80", b"[::ffff:192.0.2.1]:65535", b"[fe80::1%a]:1")
_NAMES = (b"Rdv-Token: ", b"Rdv-Self-Addrs: ", b"Rdv-Peer-Addrs: ", b"Rdv-Observed-Addr: ")


def _headers(data: bytes) -> dict[bytes, list[bytes]]:
    headers: dict[bytes, list[bytes]] = {}
    for line in data.split(b"\n"):
        name, _, value = line.partition(b":")
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    return headers


def _lookup(headers: dict[bytes, list[bytes]]) -> HeaderLookup:
    return lambda name: headers.get(name.lower(), ())


def offer(data: bytes) -> None:
    """It is refused in one line, or results in the same offer when it is formatted again."""
    headers = _headers(data)
    for role in Role:
        try:
            read = parse_offer(role.value, b"HTTP/1.1", _lookup(headers))
        except BadRequest as error:
            assert refusal(error.status, str(error)).count(b"\n") < 9
            assert len(str(error)) < 400
            continue
        again = b"\n".join(b"%s: %s" % each for each in request_headers(read))
        written = _headers(b"Host:\n" + again)
        assert parse_offer(role.value, b"HTTP/1.1", _lookup(written)) == read
        hint = token_hint(read.token)
        assert hint.isprintable() and len(hint) < 6
        passed = PassedClient(role, read.token, read.addresses, "")
        assert decode(encode(passed)) == passed


def answer(data: bytes) -> None:
    """The same for an answer."""
    headers = _headers(data)
    with suppress(ProtocolError):
        read = parse_answer(_lookup(headers))
        assert len(read.peer_addresses) <= MAX_PEER_ADDRESSES
        for address in (read.observed, *read.peer_addresses):
            assert address is None or parse_address(str(address)) == address


def address(data: bytes) -> None:
    """All parsers of addresses agree."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(ValueError):
        network_text(network_of(text))
        endpoint_text(text, 80)
    try:
        read = parse_address(text)
    except ValueError:
        for other in (canonical_address, packed_ip):
            try:
                other(text)
            except ValueError:
                continue
            raise AssertionError("another one reads it") from None
        return
    assert canonical_address(text) == str(read)
    assert packed_ip(text) == read.ip.packed
    assert parse_address(str(read)) == read
    network_of(host_of(text))
    space_of(read.ip)
    for how in (FULL, PREFIX, NONE):
        masked_host(str(read), how)
        masked(text, how)


def line(data: bytes) -> None:
    """A line has the same result in any pieces."""
    pieces, whole = cut(data)
    expected = hello_line(b"token")
    matcher, rest = LineMatcher(expected), b""
    done = False
    try:
        for piece in pieces:
            if done:
                rest += piece
            elif (behind := matcher.feed(piece)) is not None:
                done, rest = True, behind
    except ProtocolError:
        assert whole[: len(expected)] != expected[: len(whole)]
        return
    assert whole[: len(expected)] == expected[: len(whole)]
    assert done == (len(whole) >= len(expected))
    assert rest == whole[len(expected) :]


def token(data: bytes) -> None:
    """A plain token, a signed one, or a secret. No error repeats a secret."""
    if (read := read_signed(data)) is not None:
        expiry, rest = data.split(b":", 1)
        assert int(expiry) == read.expiry and rest.startswith(read.user.encode())
        if verifies(_KEY, data):
            assert sign(_KEY, read) == data
    try:
        known = read_token(data)
    except BadSecret as error:
        assert len(data) < 12 or data.decode() not in str(error)
    except BadToken:
        pass
    else:
        if isinstance(known, Secret):
            assert Secret.parse(known.reveal()) == known


def passed(data: bytes) -> None:
    """It is refused, or results in the same message when it is formatted again."""
    with suppress(ProtocolError):
        client = decode(data)
        assert decode(encode(client))[:5] == client[:5]


TARGETS = {
    "offer": Target(offer, [_OFFER], [*_NAMES, *_ADDRESSES, _SIGNED, b"Host: ", b", "]),
    "answer": Target(answer, [_ANSWER, _MOST], [*_NAMES, *_ADDRESSES, b"none", b", "]),
    "address": Target(address, _ADDRESSES, [b"::", b"[", b"]", b"%", b":80", b"255"], 100),
    "line": Target(line, [b"\0\0" + hello_line(b"token"), b"\x03\x01" + hello_line(b"token") * 2]),
    "token": Target(
        token,
        [b"token", _SIGNED, SECRET.reveal().encode(), SECRET.reveal().encode() + b"@" + _SIGNED],
        [b"rdvs1-", b":", b".", b"rdv-secure-1-"],
    ),
    "passing": Target(passed, [encode(_PASSED)], [b"\n", b"\t", b"DIAL", b"ACCEPT", *_ADDRESSES]),
}
