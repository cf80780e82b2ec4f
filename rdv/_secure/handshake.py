"""
``Noise_NNpsk0_25519_AESGCM_SHA256`` (Noise revision 34). Its two messages follow HELLO and CONFIRM.

The acceptor begins. Its message proves knowledge of the secret, but may be a recording. The second
message proves that the dialer knows the secret now, and the first valid record after it proves the
same of the acceptor. Both sides create new ephemeral keys for each candidate, so a recorded stream
stays unreadable even if the secret leaks later (forward secrecy).
"""

from __future__ import annotations

import hashlib
import struct
from enum import Enum, IntFlag
from typing import TYPE_CHECKING, NamedTuple

from rdv._secure.derivation import expand, keyed, noise_hkdf
from rdv._secure.primitives import primitives
from rdv.errors import ProtocolError
from rdv.wire import hello_line

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

__all__ = [
    "MESSAGE_SIZE",
    "AcceptorHandshake",
    "Cipher",
    "DialerHandshake",
    "Features",
    "Kind",
    "Opening",
    "Reply",
    "Session",
]

#: Bytes of either message: an ephemeral key, a payload and its tag.
MESSAGE_SIZE = 32 + 24 + 16

_NAME = b"Noise_NNpsk0_25519_AESGCM_SHA256"


class Cipher(IntFlag):
    """How records are encrypted. Every peer supports the first."""

    AES_256_GCM = 1
    CHACHA20_POLY1305 = 2
    ALL = AES_256_GCM | CHACHA20_POLY1305


class Features(IntFlag):
    """What a peer supports beyond the channel itself."""

    MOVE = 1
    RESUME = 2
    ALL = MOVE | RESUME


class Kind(Enum):
    """The dialer's purpose for a candidate."""

    NEW = 0
    JOIN = 1


class Opening(NamedTuple):
    """
    The contents of the acceptor's first message.

    :ivar attempt: 16 random bytes, the same for all candidates of one attempt.
    """

    features: Features
    ciphers: Cipher
    attempt: bytes

    def pack(self) -> bytes:
        """The payload."""
        return struct.pack(">IB3x16s", self.features, self.ciphers, self.attempt)

    @classmethod
    def unpack(cls, payload: bytes) -> Opening:
        """:raises ProtocolError: if the mandatory cipher is not offered."""
        features, ciphers, attempt = struct.unpack(">IB3x16s", payload)
        if not ciphers & Cipher.AES_256_GCM:
            raise ProtocolError("the peer's handshake lacks the mandatory cipher")
        return cls(Features(features) & Features.ALL, Cipher(ciphers) & Cipher.ALL, attempt)


class Reply(NamedTuple):
    """
    The contents of the dialer's second message.

    :ivar identity: of its attempt when the stream is new, otherwise of the session that it joins.
    """

    features: Features
    kind: Kind
    cipher: Cipher
    identity: bytes

    def pack(self) -> bytes:
        """The payload."""
        return struct.pack(">IBB2x16s", self.features, self.kind.value, self.cipher, self.identity)

    @classmethod
    def unpack(cls, payload: bytes, opening: Opening) -> Reply:
        """:raises ProtocolError: if it is not a valid answer to ``opening``."""
        features, kind, cipher, identity = struct.unpack(">IBB2x16s", payload)
        if features & ~opening.features:
            raise ProtocolError("the peer's handshake has features that were not offered")
        if kind not in (Kind.NEW.value, Kind.JOIN.value):
            raise ProtocolError("the peer's handshake is of an unknown kind")
        # Exactly one bit, and one of those that were offered.
        if cipher & (cipher - 1) or not cipher & opening.ciphers:
            raise ProtocolError("the peer's handshake selects a cipher that was not offered")
        return cls(Features(features), Kind(kind), Cipher(cipher), identity)


class Session(NamedTuple):
    """
    What both sides share after the handshake on one path.

    :ivar acceptor_key: of the records that the acceptor writes.
    :ivar dialer_key: of the records that the dialer writes.
    :ivar identity: 16 bytes by which another path joins this one.
    :ivar join_key: mixed into the keys of a path that joins.
    """

    acceptor_key: bytes
    dialer_key: bytes
    identity: bytes
    join_key: bytes
    exporter_key: bytes

    def export(self, label: bytes, length: int) -> bytes:
        """Bytes that only the two sides can compute (as RFC 5705 for TLS)."""
        return expand(self.exporter_key, label, length)

    def joined_to(self, first: Session) -> Session:
        """The same, for a path that joins the stream of ``first``."""
        return first._replace(
            acceptor_key=keyed(first.join_key, self.acceptor_key),
            dialer_key=keyed(first.join_key, self.dialer_key),
        )


def _prologue(token: bytes) -> bytes:
    """What both sides must agree on: the handshake fails otherwise."""
    return b"rdv secure 1\r\n" + hello_line(token)


class _Handshake:
    """
    The symmetric state of Noise (5.2), with the steps of both sides.

    :param ephemeral: for test vectors; a new key by default.
    """

    def __init__(
        self, psk: bytes, token: bytes, *, ephemeral: X25519PrivateKey | None = None
    ) -> None:
        self._hash = self._chaining_key = _NAME  # 32 bytes: not hashed
        self._key = b""
        self._ephemeral = ephemeral or primitives().new_key()
        self._mix_hash(_prologue(token))
        # The pre-shared key comes first: the "psk0" of the name.
        self._chaining_key, mixed, self._key = noise_hkdf(self._chaining_key, psk, 3)
        self._mix_hash(mixed)

    def _mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def _mix_key(self, material: bytes) -> None:
        self._chaining_key, self._key = noise_hkdf(self._chaining_key, material, 2)

    def _write_ephemeral(self) -> bytes:
        public = self._ephemeral.public_key().public_bytes_raw()
        self._mix_hash(public)
        self._mix_key(public)
        return public

    def _read_ephemeral(self, public: bytes) -> X25519PublicKey:
        self._mix_hash(public)
        self._mix_key(public)
        return primitives().read_key(public)

    def _exchange(self, theirs: X25519PublicKey) -> None:
        try:
            self._mix_key(self._ephemeral.exchange(theirs))
        except ValueError:  # a point of low order
            raise ProtocolError("the peer's handshake has an invalid key") from None

    def _seal(self, payload: bytes) -> bytes:
        # Each key encrypts only one message, so the nonce is 0.
        sealed = primitives().aesgcm(self._key).encrypt(bytes(12), payload, self._hash)
        self._mix_hash(sealed)
        return sealed

    def _open(self, sealed: bytes) -> bytes:
        try:
            payload = primitives().aesgcm(self._key).decrypt(bytes(12), sealed, self._hash)
        except primitives().invalid_tag:
            raise ProtocolError("the other side does not know the secret") from None
        self._mix_hash(sealed)
        return payload

    def _split(self) -> Session:
        acceptor_key, dialer_key = noise_hkdf(self._chaining_key, b"", 2)
        identity, join_key, exporter_key = (
            keyed(self._chaining_key, b"rdv secure 1 " + label)
            for label in (b"session", b"join", b"exporter")
        )
        return Session(acceptor_key, dialer_key, identity[:16], join_key, exporter_key)


class AcceptorHandshake(_Handshake):
    """The acceptor's side, which begins."""

    def begin(self, opening: Opening) -> bytes:
        """The message after HELLO."""
        self._opening = opening
        return self._write_ephemeral() + self._seal(opening.pack())

    def finish(self, message: bytes) -> tuple[Reply, Session]:
        """
        Read the message after CONFIRM.

        :raises ProtocolError: unless its sender knows the secret and has read our message.
        """
        self._exchange(self._read_ephemeral(message[:32]))
        reply = Reply.unpack(self._open(message[32:]), self._opening)
        return reply, self._split()


class DialerHandshake(_Handshake):
    """The dialer's side, which answers."""

    def read(self, message: bytes) -> Opening:
        """
        Read the message after HELLO.

        :raises ProtocolError: unless it was made with the secret, and for this kind of candidate.
        """
        self._theirs = self._read_ephemeral(message[:32])
        self.opening = Opening.unpack(self._open(message[32:]))
        return self.opening

    def answer(self, reply: Reply) -> tuple[bytes, Session]:
        """
        The message after CONFIRM.

        :raises ProtocolError: if the acceptor's key is invalid.
        """
        public = self._write_ephemeral()
        self._exchange(self._theirs)
        return public + self._seal(reply.pack()), self._split()
