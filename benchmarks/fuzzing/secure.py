"""
Data on a secured stream: from a stranger, and from a peer that knows the secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from benchmarks.fuzzing.engine import Target, cut
from rdv._secure.exchange import SecureAttempt
from rdv._secure.handshake import MESSAGE_SIZE, AcceptorHandshake, Cipher, DialerHandshake
from rdv._secure.path import SecurePath, Signal
from rdv._secure.records import Opener, RecordType, Sealer
from rdv.errors import ProtocolError
from rdv.test.secure.doubles import JOINING, SESSION
from rdv.test.secure.test_handshake import KEYS, LOW_ORDER, OPENING, REPLY, SECRET, handshakes
from rdv.wire import Role, confirm_line, hello_line

__all__ = ["TARGETS"]

_LIMIT = 4
#: Lengths of plaintexts, selected by one byte of the input.
_SIZES = (0, 1, 2, 3, 100, 1 << 14)


def _sealer() -> Sealer:
    return Sealer(SESSION.acceptor_key, Cipher.AES_256_GCM, limit=_LIMIT)


def _heard(feed: Callable[[bytes], Iterable[object]], pieces: Iterable[bytes]) -> list[object]:
    """
    The results for these pieces, and whether they end with a refusal. Adjacent data is joined.
    """
    heard: list[object] = []
    try:
        for piece in pieces:
            for each in feed(piece):
                if isinstance(each, memoryview):
                    before = heard.pop() if heard and isinstance(heard[-1], bytes) else b""
                    assert isinstance(before, bytes)
                    heard.append(before + bytes(each))
                else:
                    heard.append(repr(each) if isinstance(each, Signal) else each)
    except ProtocolError:
        heard.append(None)
    return heard


def records(data: bytes) -> None:
    """From a stranger: refused, or what the peer has sealed, in any pieces."""
    pieces, whole = cut(data)
    found = []
    for each in (pieces, [whole] if whole else []):
        opener = Opener(SESSION.acceptor_key, Cipher.AES_256_GCM, limit=_LIMIT)
        found.append(
            _heard(lambda piece, o=opener: ((k, bytes(p)) for k, p in o.feed(piece)), each)  # type: ignore[misc]
        )
    assert found[0] == found[1]


def path(data: bytes) -> None:
    """From a peer: three bytes per record select its type, its first byte, and its length."""
    pieces, orders = cut(data)
    cuts = [len(each) for each in pieces]
    for role in Role:
        for joins in (False, True):
            _follow(role, orders, cuts, joins=joins)


def _follow(role: Role, orders: bytes, cuts: list[int], *, joins: bool) -> None:
    found = []
    for is_cut in (False, True):
        first = SecurePath(role, SESSION, Cipher.AES_256_GCM, moves=True)
        ours, session = first, SESSION
        if joins:
            ours = SecurePath(role, JOINING, Cipher.AES_256_GCM, moves=True, first=first)
            session = JOINING.joined_to(SESSION)
        key = session.dialer_key if role is Role.ACCEPTOR else session.acceptor_key
        sealer = Sealer(key, Cipher.AES_256_GCM)
        sealed = []
        for at in range(0, len(orders) - 2, 3):
            kind, start, size = orders[at : at + 3]
            plaintext = bytes([start]) + bytes(_SIZES[size % len(_SIZES)])
            pieces: list[bytes] = []
            sealer._put(pieces, plaintext[: _SIZES[size % len(_SIZES)]] + bytes([kind]))
            if kind == 22 and start == 24 and plaintext[:1] and size % len(_SIZES):
                sealer._rekey()
            sealed.append(b"".join(pieces))
        whole = b"".join(sealed)
        said = [whole]
        if is_cut:
            size = 7 * (cuts[0] if cuts else 1)
            said = [whole[at : at + size] for at in range(0, len(whole), size)]
        found.append(_heard(ours.receive, said))
    assert found[0] == found[1]


def handshake(data: bytes) -> None:
    """
    From a stranger: the line and the message after it, in pieces. The first byte selects which side
    gets them, and on which candidate.
    """
    flags, (pieces, _) = data[:1] or b"\0", cut(data[1:])
    role = Role.DIALER if flags[0] & 1 else Role.ACCEPTOR
    attempt = SecureAttempt(role, SECRET, bytes(16), moves=bool(flags[0] & 2))
    exchange = attempt.exchange(is_relay=bool(flags[0] & 4))
    line = (hello_line if role is Role.DIALER else confirm_line)(
        SECRET.token(is_relay=bool(flags[0] & 4))
    )
    if flags[0] & 8:
        pieces = [line, *pieces]
    with suppress(ProtocolError):
        for piece in pieces:
            if exchange.feed(piece) is not None:
                exchange.confirm()
                break


def payload(data: bytes) -> None:
    """From a peer: any payload, correctly sealed, and any public key."""
    data = data.ljust(57, b"\0")
    acceptor, dialer = handshakes()
    public, text = data[1:33], data[33:57]
    if data[0] & 1:
        liar = AcceptorHandshake(SECRET.psk, SECRET.token(is_relay=True))
        message = public if data[0] & 2 else liar._write_ephemeral()
        if data[0] & 2:
            liar._mix_hash(public)
            liar._mix_key(public)
        message += liar._seal(text)
        assert len(message) == MESSAGE_SIZE
        with suppress(ProtocolError):
            dialer.read(message)
            dialer.answer(REPLY)
    else:
        other = DialerHandshake(SECRET.psk, SECRET.token(is_relay=True))
        other.read(acceptor.begin(OPENING))
        message = other._write_ephemeral()
        other._exchange(other._theirs)
        with suppress(ProtocolError):
            acceptor.finish(message + other._seal(text))


def _good_messages() -> list[bytes]:
    acceptor, dialer = handshakes()
    opening = acceptor.begin(OPENING)
    dialer.read(opening)
    return [opening, dialer.answer(REPLY)[0]]


_MESSAGES = _good_messages()


def _good_records() -> bytes:
    sealer = _sealer()
    texts = (b"hello", b"", b"x" * 40, b"again", b"and")
    return b"".join(piece for text in texts for piece in sealer.seal(RecordType.DATA, text))


_LINES = [(b"\x01", hello_line), (b"\x00", confirm_line)]

TARGETS = {
    "records": Target(
        records,
        [b"\0\0" + _good_records(), b"\x03\x02" + _good_records()],
        [b"\x17\x03\x03", b"\x17\x03\x03\0\x11", b"\x17\x03\x03\x40\x11"],
    ),
    "path": Target(
        path,
        [
            bytes([0, 0, 22, 1, 1, 23, 5, 4, 22, 2, 1, 21, 1, 2, 22, 4, 1]),
            bytes([3, 0, 22, 3, 1, 23, 5, 5, 22, 24, 1, 23, 9, 4, 21, 1, 2]),
        ],
        [bytes([22, each, 1]) for each in (1, 2, 3, 4, 5, 6, 24)],
        200,
    ),
    "handshake": Target(
        handshake,
        [
            flags + b"\0\0" + line(SECRET.token(is_relay=False)) + message
            for (flags, line), message in zip(_LINES, _MESSAGES, strict=True)
        ]
        + [flags + b"\0\0" + m for flags, m in zip((b"\x0d", b"\x0c"), _MESSAGES, strict=True)],
        [bytes.fromhex(each) for each in LOW_ORDER],
        400,
    ),
    "payload": Target(
        payload,
        [
            b"\x01" + KEYS[0] + OPENING.pack(),
            b"\x00" + KEYS[1] + REPLY.pack(),
            *(b"\x03" + bytes.fromhex(each) + OPENING.pack() for each in LOW_ORDER),
        ],
        [bytes.fromhex(each) for each in LOW_ORDER],
        57,
    ),
}
