"""
Tests of :mod:`rdv._secure.records`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, chain

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.handshake import Cipher
from rdv._secure.records import MOST_PLAINTEXT, Control, Opener, RecordType, Sealer
from rdv.errors import ProtocolError

KEY = bytes(range(32))
OVERHEAD = 22
_REKEY = bytes([Control.REKEY])
CIPHERS = st.sampled_from(list(Cipher))

#: Three records of "rdv", and the record that changes the key before the third.
VECTORS = [
    (
        Cipher.AES_256_GCM,
        "17030300147cd8c3c944c721896e5aaa8e35467296b32cdec5"
        "170303001467b2c9eb4d6af26c5161c9012da957d5ab19974e"
        "1703030012d167d29ec56c1b8141a5d15dc66c1d5cc748"
        "17030300146951152f15f21c0d0ea5dd8ec4f5c8e257858d5f",
    ),
    (
        Cipher.CHACHA20_POLY1305,
        "17030300146adc3426e1609b4a85570d2937210ed5acb89666"
        "17030300141b380aceca9caf5dbb589700763e8c50f550a1de"
        "170303001255dc6d3a12f3d3ee3c2047aac5b72caeff05"
        "17030300146ff3f3c2016cce4874027c75e2707754a714ece8",
    ),
]


def joined(sealed: Iterable[list[bytes]]) -> bytes:
    """All records, as they are sent."""
    return b"".join(chain.from_iterable(sealed))


def opened(opener: Opener, data: bytes) -> list[tuple[int, bytes]]:
    """The records in ``data``."""
    return [(kind, bytes(plaintext)) for kind, plaintext in opener.feed(data)]


class RecordTests(SynchronousTestCase):
    """What is sealed is opened."""

    def test_vectors(self) -> None:
        """Those of docs/protocol.rst."""
        for cipher, expected in VECTORS:
            sealer = Sealer(KEY, cipher, limit=3)
            sealed = joined(sealer.seal(RecordType.DATA, b"rdv") for _ in range(3))
            self.assertEqual(sealed.hex(), expected)

    def test_next_key(self) -> None:
        """What becomes of a key of zeros."""
        for cipher, start in (
            (Cipher.AES_256_GCM, "f1573ed7ea595623"),
            (Cipher.CHACHA20_POLY1305, "25ce5d37df19f378"),
        ):
            sealer = Sealer(bytes(32), cipher)
            sealer._rekey()
            self.assertTrue(sealer._key.hex().startswith(start))

    @given(
        CIPHERS,
        st.lists(st.integers(0, 3 * MOST_PLAINTEXT + 1), max_size=4),
        st.integers(1, 40_000),
        st.integers(2, 5),
    )
    def test_stream(self, cipher: Cipher, sizes: list[int], cut: int, limit: int) -> None:
        """A stream arrives whole, however it is cut, and through changes of the key."""
        sealer = Sealer(KEY, cipher, limit=limit)
        opener = Opener(KEY, cipher, limit=limit)
        pieces = [bytes([i]) * size for i, size in enumerate(sizes)]
        sealed = joined(sealer.seal(RecordType.DATA, piece) for piece in pieces)
        found = [r for i in range(0, len(sealed), cut) for r in opened(opener, sealed[i : i + cut])]
        data = b"".join(plain for kind, plain in found if kind == RecordType.DATA)
        self.assertEqual(data, b"".join(pieces))
        # The record that changed the key is yielded, too: the caller decides whether it is allowed.
        changes = [plain for kind, plain in found if kind == RecordType.CONTROL]
        self.assertEqual(set(changes) | {_REKEY}, {_REKEY})
        self.assertEqual(len(changes), (len(found) - 1) // limit if found else 0)

    def test_cut(self) -> None:
        """Cut anywhere, each record comes out as soon as it is there."""
        sealer = Sealer(KEY, Cipher.AES_256_GCM)
        written = [b"\0" * size for size in (40, 0, 1)]
        sealed = [b"".join(sealer.seal(RecordType.DATA, each)) for each in written]
        whole = b"".join(sealed)
        for cut in range(1, len(whole)):
            opener = Opener(KEY, Cipher.AES_256_GCM)
            there = sum(cut >= end for end in accumulate(map(len, sealed)))
            found = [plain for _, plain in opened(opener, whole[:cut])]
            self.assertEqual(found, written[:there])
            # The rest, the last byte by itself.
            found += [plain for _, plain in opened(opener, whole[cut:-1])]
            self.assertEqual(found, written[: max(there, 2)])
            found += [plain for _, plain in opened(opener, whole[max(cut, len(whole) - 1) :])]
            self.assertEqual(found, written)

    def test_bytewise(self) -> None:
        """One byte at a time, the head too."""
        sealed = b"".join(Sealer(KEY, Cipher.AES_256_GCM).seal(RecordType.DATA, b"rdv"))
        opener = Opener(KEY, Cipher.AES_256_GCM)
        found = [record for byte in sealed for record in opened(opener, bytes([byte]))]
        self.assertEqual(found, [(RecordType.DATA, b"rdv")])

    def test_data_like_control(self) -> None:
        """Data is data, whatever it begins with."""
        data = bytes([Control.REKEY])
        sealed = b"".join(Sealer(KEY, Cipher.AES_256_GCM).seal(RecordType.DATA, data))
        self.assertEqual(opened(Opener(KEY, Cipher.AES_256_GCM), sealed), [(23, data)])

    def test_sizes(self) -> None:
        """Nothing is one record, and so is as much as fits into one."""
        for size, records in ((0, 1), (1, 1), (MOST_PLAINTEXT, 1), (MOST_PLAINTEXT + 1, 2)):
            sealed = b"".join(Sealer(KEY, Cipher.AES_256_GCM).seal(RecordType.DATA, bytes(size)))
            self.assertEqual(len(sealed), size + records * OVERHEAD)

    def test_types(self) -> None:
        """The type comes out as it went in."""
        sealer, opener = Sealer(KEY, Cipher.AES_256_GCM), Opener(KEY, Cipher.AES_256_GCM)
        written = [(RecordType.CONTROL, bytes([Control.READY])), (RecordType.END, b"\1\0")]
        sealed = joined(sealer.seal(*each) for each in written)
        self.assertEqual(opened(opener, sealed), written)


class ForgeryTests(SynchronousTestCase):
    """What is not the peer's is not opened, and what came before it is not lost."""

    def setUp(self) -> None:
        sealer = Sealer(KEY, Cipher.AES_256_GCM)
        self.sealed = [b"".join(sealer.seal(RecordType.DATA, b"record %d" % i)) for i in range(4)]

    def refused(self, sealed: bytes, good: int) -> None:
        """Nothing but the first ``good`` records are opened."""
        found = []
        with self.assertRaises(ProtocolError):
            for _, plaintext in Opener(KEY, Cipher.AES_256_GCM).feed(sealed):
                found.append(bytes(plaintext))
        self.assertEqual(found, [b"record %d" % i for i in range(good)])

    @given(st.integers(0), st.integers(0, 7))
    def test_flipped(self, position: int, bit: int) -> None:
        """Each bit counts, that of the head too."""
        sealed = bytearray(b"".join(self.sealed))
        size = len(self.sealed[0])
        position %= size
        sealed[size + position] ^= 1 << bit
        announced = int.from_bytes(sealed[size + 3 : size + 5], "big")
        if announced <= size:  # otherwise it may wait for more
            self.refused(bytes(sealed), 1)

    def test_order(self) -> None:
        """Left out, repeated, swapped."""
        one, two, three, four = self.sealed
        self.refused(one + three + four, 1)
        self.refused(one + one, 1)
        self.refused(one + two + four + three, 2)

    def test_sizes(self) -> None:
        """A record that is too short, or that no sender makes, is refused before it is there."""
        for size in (16, MOST_PLAINTEXT + 18, 0xFFFF):
            self.refused(self.sealed[0] + b"\x17\x03\x03" + size.to_bytes(2, "big"), 1)

    def test_cut(self) -> None:
        """Cut anywhere, nothing of the record comes out."""
        for size in range(len(self.sealed[0])):
            opener = Opener(KEY, Cipher.AES_256_GCM)
            self.assertEqual(opened(opener, self.sealed[0][:size]), [])

    def test_old_key(self) -> None:
        """A sender that goes on with its key beyond the limit."""
        opener = Opener(KEY, Cipher.AES_256_GCM, limit=3)
        sealed = b"".join(self.sealed)
        found = []
        with self.assertRaises(ProtocolError):
            for record in opener.feed(sealed):
                found.append(record)
        self.assertEqual(len(found), 2)
