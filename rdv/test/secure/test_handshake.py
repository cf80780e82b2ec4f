"""
Tests of :mod:`rdv._secure.handshake`.
"""

from __future__ import annotations

import warnings

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from noise.connection import Keypair, NoiseConnection
from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.handshake import (
    MESSAGE_SIZE,
    AcceptorHandshake,
    Cipher,
    DialerHandshake,
    Features,
    Kind,
    Opening,
    Reply,
    Session,
)
from rdv._secure.secret import Secret
from rdv.errors import ProtocolError

SECRET = Secret(bytes(range(16)))
OPENING = Opening(
    Features.MOVE | Features.RESUME,
    Cipher.AES_256_GCM | Cipher.CHACHA20_POLY1305,
    bytes([3] * 16),
)
REPLY = Reply(Features.MOVE, Kind.NEW, Cipher.AES_256_GCM, bytes([4] * 16))
KEYS = bytes([1] * 32), bytes([2] * 32)
PROLOGUE = b"rdv secure 1\r\nrdv/1 HELLO "
#: Public keys that give zeros in any key exchange (RFC 7748, 6.1, and its curve's small subgroup).
LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
]


def handshakes(
    *,
    is_relay: bool = True,
    fixed: bool = True,
    dialer: Secret = SECRET,
    keys: tuple[bytes, bytes] = KEYS,
) -> tuple[AcceptorHandshake, DialerHandshake]:
    """Both sides of a candidate, with the ephemeral keys of the vectors if ``fixed``."""
    one, other = (X25519PrivateKey.from_private_bytes(key) if fixed else None for key in keys)
    token = SECRET.token(is_relay=is_relay)
    return (
        AcceptorHandshake(SECRET.psk, token, ephemeral=one),
        DialerHandshake(dialer.psk, dialer.token(is_relay=is_relay), ephemeral=other),
    )


class VectorTests(SynchronousTestCase):
    """The vectors of docs/protocol.rst."""

    def shake(self, *, is_relay: bool, first: str, second: str) -> Session:
        """Compare both messages, and the sessions of both sides with each other."""
        acceptor, dialer = handshakes(is_relay=is_relay)
        opening = acceptor.begin(OPENING)
        self.assertEqual(opening.hex(), first)
        self.assertEqual(dialer.read(opening), OPENING)
        reply, theirs = dialer.answer(REPLY)
        self.assertEqual(reply.hex(), second)
        answer, ours = acceptor.finish(reply)
        self.assertEqual((answer, ours), (REPLY, theirs))
        return ours

    def test_relay(self) -> None:
        """On the relay, and what comes of it."""
        session = self.shake(
            is_relay=True,
            first="a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209"
            "76c33534c7cae645cdcb84562a7f8b76950f818f851f66746c6d268b804bf0827eba4eecad2217a6",
            second="ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59"
            "798f07e9af46f9c56b85780168b8d3916fc5a9d01a032600a172de049ec6e0fa20206c059ed0bf24",
        )
        self.assertEqual(
            [part.hex() for part in session],
            [
                "9f2ef14b4c593c30aacee4e962a5022e0a34154a0b568eada3a7c63b60b89d9d",
                "3eafd8f2552b719f5bb530668cbb101132fc9b435ecb778db1700bb3945c7b08",
                "74e825e00482924eea97d9c34bb9434d",
                "35a179f097faafb32a14c586fbec0280ec800f97988c0d921c93dea3d11f8c7b",
                "2c024083b8af194ec10efcdf0aca79ea00cb0e5e5fe16bdc30fb396651276787",
            ],
        )
        self.assertEqual(
            session.export(b"label", 20).hex(), "d4eb9111fab84209ac2c0512d266d0b75a6a5b9f"
        )
        joined = session.joined_to(session)
        self.assertEqual(
            [joined.acceptor_key.hex(), joined.dialer_key.hex()],
            [
                "6d9a1ff3afc37ed92cd933179a5ae9eca34077be97f885b057fe8a7dc0f46156",
                "957c50785850ed604ca9189a35d16597532184a5e825dcb05961303a386001e3",
            ],
        )
        self.assertEqual(joined[2:], session[2:])

    def test_direct(self) -> None:
        """On a direct path the lines, and so the tags, are others."""
        self.shake(
            is_relay=False,
            first="a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209"
            "76c33534c7cae645cdcb84562a7f8b76950f818f851f667431ddca34e69f3199ee15588ecb5c6fd0",
            second="ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59"
            "798f07e9af46f9c56b85780168b8d3916fc5a9d01a03260012f5b10fe7218eea02171f3c5523a4d4",
        )

    def test_another_implementation(self) -> None:
        """``noiseprotocol`` makes the same messages and keys, from either side."""
        acceptor, dialer = handshakes()
        others = []
        for key, begins in zip(KEYS, (True, False), strict=True):
            other = NoiseConnection.from_name(b"Noise_NNpsk0_25519_AESGCM_SHA256")
            other.set_prologue(PROLOGUE + SECRET.server_token + b"\r\n")
            other.set_psks(SECRET.psk)
            if begins:
                other.set_as_initiator()
            else:
                other.set_as_responder()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a fixed key is for tests only
                other.set_keypair_from_private_bytes(Keypair.EPHEMERAL, key)
                other.start_handshake()
            others.append(other)
        opening = acceptor.begin(OPENING)
        self.assertEqual(bytes(others[0].write_message(OPENING.pack())), opening)
        self.assertEqual(bytes(others[1].read_message(opening)), OPENING.pack())
        dialer.read(opening)
        reply, session = dialer.answer(REPLY)
        self.assertEqual(bytes(others[1].write_message(REPLY.pack())), reply)
        self.assertEqual(bytes(others[0].read_message(reply)), REPLY.pack())
        protocol = others[0].noise_protocol
        self.assertEqual(
            [protocol.cipher_state_encrypt.k, protocol.cipher_state_decrypt.k],
            [session.acceptor_key, session.dialer_key],
        )


class Evil(AcceptorHandshake):
    """Knows the secret, and has an ephemeral key that gives the same result with any other."""

    def __init__(self, point: bytes) -> None:
        super().__init__(SECRET.psk, SECRET.server_token)
        self.point = point

    def _write_ephemeral(self) -> bytes:
        self._mix_hash(self.point)
        self._mix_key(self.point)
        return self.point


class RefusalTests(SynchronousTestCase):
    """What is not the peer's is refused."""

    def shake(self, opening: bytes, *, is_relay: bool = True) -> bytes:
        """The dialer's answer to ``opening``."""
        dialer = handshakes(is_relay=is_relay, fixed=False)[1]
        dialer.read(opening)
        return dialer.answer(REPLY)[0]

    @given(st.integers(0, 8 * MESSAGE_SIZE - 1))
    def test_flipped(self, bit: int) -> None:
        """Each bit of either message counts."""
        acceptor, _ = handshakes(fixed=False)
        opening = acceptor.begin(OPENING)
        reply = self.shake(opening)
        for message, read in ((opening, self.shake), (reply, acceptor.finish)):
            flipped = bytearray(message)
            flipped[bit // 8] ^= 1 << bit % 8
            if bit == 255:
                # X25519 ignores the highest bit of a key (RFC 7748, 5); the transcript does not.
                self.assertRaises(ProtocolError, read, bytes(flipped))
            self.assertRaises(ProtocolError, read, bytes(flipped))

    @given(st.binary(min_size=MESSAGE_SIZE, max_size=MESSAGE_SIZE))
    def test_noise(self, message: bytes) -> None:
        """Anything else of that size."""
        acceptor, dialer = handshakes(fixed=False)
        acceptor.begin(OPENING)
        self.assertRaises(ProtocolError, dialer.read, message)
        self.assertRaises(ProtocolError, acceptor.finish, message)

    def test_another_secret(self) -> None:
        """Neither side takes a peer that has another secret."""
        acceptor, dialer = handshakes(dialer=Secret(bytes(16)))
        self.assertRaises(ProtocolError, dialer.read, acceptor.begin(OPENING))

    def test_another_path(self) -> None:
        """What was said on the relay cannot be replayed on a direct path."""
        acceptor, _ = handshakes(is_relay=True)
        self.assertRaises(ProtocolError, self.shake, acceptor.begin(OPENING), is_relay=False)

    def test_another_opening(self) -> None:
        """A reply goes with one opening."""
        acceptors = [handshakes(fixed=False)[0] for _ in range(2)]
        openings = [acceptor.begin(OPENING) for acceptor in acceptors]
        reply = self.shake(openings[0])
        self.assertRaises(ProtocolError, acceptors[1].finish, reply)

    def test_low_order(self) -> None:
        """Keys with which everybody knows what an exchange gives, from a holder of the secret."""
        for point in map(bytes.fromhex, LOW_ORDER):
            acceptor, dialer = handshakes(fixed=False)
            acceptor.begin(OPENING)
            dialer.read(Evil(point).begin(OPENING))
            errors = [
                self.assertRaises(ProtocolError, dialer.answer, REPLY),
                self.assertRaises(ProtocolError, acceptor.finish, point + bytes(40)),
            ]
            for error in errors:
                self.assertIn("an invalid key", str(error))

    def test_payloads(self) -> None:
        """A holder of the secret who breaks the rules."""
        self.assertRaises(ProtocolError, Opening.unpack, OPENING._replace(ciphers=Cipher(2)).pack())
        offered = OPENING._replace(features=Features.MOVE, ciphers=Cipher.AES_256_GCM)
        for bad in (
            REPLY._replace(features=Features.RESUME),
            REPLY._replace(cipher=Cipher(0)),
            REPLY._replace(cipher=Cipher(2)),
            REPLY._replace(cipher=Cipher(3)),
            REPLY._replace(cipher=Cipher(4)),
        ):
            self.assertRaises(ProtocolError, Reply.unpack, bad.pack(), offered)
        kind = bytearray(REPLY.pack())
        kind[4] = 2
        self.assertRaises(ProtocolError, Reply.unpack, bytes(kind), offered)

    def test_reserved(self) -> None:
        """What a later version may use is ignored."""
        opening = bytearray(Opening(Features.MOVE, Cipher.AES_256_GCM, bytes(16)).pack())
        opening[0] = 0x80
        opening[4] |= 0x40
        opening[5:8] = b"new"
        read = Opening.unpack(bytes(opening))
        self.assertEqual(read, Opening(Features.MOVE, Cipher.AES_256_GCM, bytes(16)))
        reply = bytearray(REPLY.pack())
        reply[6:8] = b"ew"
        self.assertEqual(Reply.unpack(bytes(reply), OPENING), REPLY)
