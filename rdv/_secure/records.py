"""
The encrypted stream of one path: records, shaped like those of TLS 1.3.

::

    17 03 03 | length, 2 bytes | ciphertext of (plaintext, type), and its tag

The nonce is a counter, so a record that is lost, repeated or reordered cannot be decrypted, and
neither can any after it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from rdv._secure.handshake import Cipher
from rdv._secure.primitives import primitives
from rdv.errors import ProtocolError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

__all__ = [
    "MOST_PLAINTEXT",
    "OVERHEAD",
    "Control",
    "Opener",
    "Record",
    "RecordType",
    "Sealer",
    "fastest",
]

#: Bytes of plaintext in one record.
MOST_PLAINTEXT = 1 << 14
#: Records under one key, including the one that changes it.
RECORDS_PER_KEY = 1 << 24

_START = b"\x17\x03\x03"
_HEADER = struct.Struct(">3sH")
_HEAD = _HEADER.size
_BEHIND = 1 + 16  # the type and the tag, which follow the plaintext
_MOST_SEALED = MOST_PLAINTEXT + _BEHIND
#: Bytes of a record that are not its plaintext.
OVERHEAD = _HEAD + _BEHIND


class RecordType(IntEnum):
    """The type of a record's contents."""

    END = 21
    CONTROL = 22
    DATA = 23


class Control(IntEnum):
    """The first byte of a control record."""

    READY = 1
    MOVE = 2
    HERE = 3
    DONE = 4
    RESUME = 5
    ACK = 6
    REKEY = 24


#: A decrypted record: its type and its plaintext.
Record: TypeAlias = tuple[int, memoryview]


def _kind(cipher: Cipher) -> type[AESGCM] | type[ChaCha20Poly1305]:
    of = primitives()
    return of.aesgcm if cipher == Cipher.AES_256_GCM else of.chacha20_poly1305


@cache
def fastest() -> Cipher:
    """Which cipher is faster here: AES is, where the processor has instructions for it."""
    times = {}
    for cipher in (Cipher.AES_256_GCM, Cipher.CHACHA20_POLY1305):
        aead = _kind(cipher)(bytes(32))
        rounds = []
        for _ in range(5):
            begun = perf_counter()
            aead.encrypt(bytes(12), bytes(MOST_PLAINTEXT), None)
            rounds.append(perf_counter() - begun)
        times[cipher] = min(rounds)
    return min(times, key=times.__getitem__)


class _Direction:
    """
    A key and the count of records.

    :param limit: records under one key; smaller in tests.
    :ivar count: the number of records so far.
    """

    __slots__ = ("_aead", "_cipher", "_key", "_left", "_limit", "count")

    def __init__(self, key: bytes, cipher: Cipher, *, limit: int = RECORDS_PER_KEY) -> None:
        self._cipher = _kind(cipher)
        self._limit = limit
        self.count = 0
        self._set_key(key)

    def _set_key(self, key: bytes) -> None:
        self._key = key
        self._aead = self._cipher(key)
        self._left = self._limit

    def _rekey(self) -> None:
        """Noise revision 34, 4.2: REKEY. The count goes on."""
        nonce = bytes(4) + b"\xff" * 8
        self._set_key(self._aead.encrypt(nonce, bytes(32), None)[:32])


class Sealer(_Direction):
    """Encrypts the records of one direction."""

    __slots__ = ()

    def seal(self, record_type: RecordType, plaintext: bytes | memoryview) -> list[bytes]:
        """
        Encrypt ``plaintext`` into as many records as it needs, at least one, with a REKEY among
        them when the key has been used often enough.

        :return: pieces to be written in this order. They are not joined here, because writing them
            does that.
        """
        sealed: list[bytes] = []
        kind = bytes([record_type])
        source = memoryview(plaintext)
        for start in range(0, len(source) or 1, MOST_PLAINTEXT):
            if self._left == 1:
                self._put(sealed, bytes([Control.REKEY, RecordType.CONTROL]))
                self._rekey()
            self._put(sealed, b"".join((source[start : start + MOST_PLAINTEXT], kind)))
        return sealed

    def _put(self, sealed: list[bytes], content: bytes) -> None:
        head = _START + (len(content) + 16).to_bytes(2, "big")
        sealed += head, self._aead.encrypt(self.count.to_bytes(12, "big"), content, head)
        self.count += 1
        self._left -= 1


class Opener(_Direction):
    """Decrypts the records of the other direction."""

    __slots__ = ("_missing", "_pieces")

    def __init__(self, key: bytes, cipher: Cipher, *, limit: int = RECORDS_PER_KEY) -> None:
        super().__init__(key, cipher, limit=limit)
        self._pieces: list[bytes | memoryview] = []
        self._missing = 0

    def feed(self, data: bytes) -> Iterator[Record]:
        """
        The complete records, in order. An incomplete one is kept for the next call.

        :raises ProtocolError: after the last good record, if the next one is not the peer's.
        """
        view = memoryview(data)
        if self._pieces:
            self._pieces.append(view[: self._missing])
            view = view[self._missing :]
            self._missing -= len(data)
            if self._missing > 0:
                return
            # Only the record that was cut in two is copied, not the data after it.
            cut = b"".join(self._pieces)
            self._pieces.clear()
            if len(cut) == _HEAD:
                view = memoryview(cut + view)
            else:
                yield self._open(memoryview(cut))
        position, end = 0, len(view)
        needed = _HEAD
        while end - position >= _HEAD:
            start, size = _HEADER.unpack_from(view, position)
            if start != _START or not _BEHIND <= size <= _MOST_SEALED:
                raise ProtocolError("the data is not a record")
            needed = _HEAD + size
            if end - position < needed:
                break
            yield self._open(view[position : position + needed])
            position += needed
            needed = _HEAD
        if position < end:
            self._pieces.append(bytes(view[position:]))
            self._missing = needed - (end - position)

    def _open(self, sealed: memoryview) -> Record:
        """Decrypt one record. REKEY takes effect here."""
        nonce = self.count.to_bytes(12, "big")
        try:
            content = self._aead.decrypt(nonce, sealed[_HEAD:], sealed[:_HEAD])
        except primitives().invalid_tag:
            raise ProtocolError("a record that is not from the peer") from None
        self.count += 1
        self._left -= 1
        kind, plaintext = content[-1], memoryview(content)[:-1]
        if kind == _CONTROL and plaintext[:1] == _REKEY:
            self._rekey()
        elif not self._left:
            raise ProtocolError("the peer did not change its key in time")
        return kind, plaintext


_REKEY = bytes([Control.REKEY])
_CONTROL = int(RecordType.CONTROL)
