"""
Tests of :mod:`rdv._secure.handshake` against the published vectors of its Noise suite.

They are those of cacophony (``vectors/cacophony.txt`` in github.com/haskell-cryptography/cacophony,
and ``tests/vectors/cacophony.txt`` in github.com/mcginty/snow, which checks itself against them).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.trial.unittest import SynchronousTestCase

from rdv._secure import handshake
from rdv._secure.handshake import AcceptorHandshake, DialerHandshake, Opening, Reply

PROLOGUE = bytes.fromhex("4a6f686e2047616c74")
PSK = bytes.fromhex("54686973206973206d7920417573747269616e20706572737065637469766521")
EPHEMERALS = [
    "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",  # of the initiator
    "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",  # of the responder
]
HANDSHAKE_HASH = "9f3b1f9afd7767767b5b9d1069844a6154fdbdcc36dfb3e31c0fffc5c973d530"
#: Payloads, and the resulting messages, from the initiator and the responder in turn.
MESSAGES = [
    (
        "4c756477696720766f6e204d69736573",
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
        "7c37a89fc17813788d30df2d59501d6066f5f8aecc3406bbd9829f2d24a531b1",
    ),
    (
        "4d757272617920526f746862617264",
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
        "2f29d79368ef9de4e1ae7a362fb05bf0ad668e026bf5714554497b3a720461",
    ),
    (
        "462e20412e20486179656b",
        "7c01e898a6201f36aecee532e29cd0b7f8ffa29d3366ad0dce39a6",
    ),
    (
        "4361726c204d656e676572",
        "a9ff535aace3db6a1da1a7fb00fe2de2622bb373abad9fb42c00e0",
    ),
    (
        "4a65616e2d426170746973746520536179",
        "6cfc49a3e65472edc2d0152abe5ce950170a8a47c959f30bd48b5f0aacf29adbfd",
    ),
    (
        "457567656e2042f6686d20766f6e2042617765726b",
        "9bc86e6d974ed21ba04604a94aa68de21677eb409ead070c0cd569b069ee19ba142aa4c1a9",
    ),
]


class Payload(bytes):
    """A payload of any size, in place of the handshake's own."""

    def pack(self) -> bytes:
        return bytes(self)


class PublishedVectorTests(SynchronousTestCase):
    """``Noise_NNpsk0_25519_AESGCM_SHA256`` with another prologue, psk and payloads than ours."""

    def setUp(self) -> None:
        self.patch(handshake, "_prologue", bytes)
        self.patch(Opening, "unpack", Payload)
        self.patch(Reply, "unpack", lambda payload, opening: Payload(payload))

    def test_vectors(self) -> None:
        """Both messages, the hash of the handshake, and the keys of both directions."""
        keys = map(X25519PrivateKey.from_private_bytes, map(bytes.fromhex, EPHEMERALS))
        acceptor = AcceptorHandshake(PSK, PROLOGUE, ephemeral=next(keys))
        dialer = DialerHandshake(PSK, PROLOGUE, ephemeral=next(keys))
        plain, sealed = zip(*([*map(bytes.fromhex, pair)] for pair in MESSAGES), strict=True)
        first, second = map(Payload, plain[:2])
        self.assertEqual(acceptor.begin(first), sealed[0])  # type: ignore[arg-type]
        self.assertEqual(dialer.read(sealed[0]), first)
        message, session = dialer.answer(second)  # type: ignore[arg-type]
        self.assertEqual(message, sealed[1])
        self.assertEqual(acceptor.finish(message), (second, session))
        self.assertEqual({acceptor._hash.hex(), dialer._hash.hex()}, {HANDSHAKE_HASH})
        aeads = AESGCM(session.acceptor_key), AESGCM(session.dialer_key)
        for i, expected in enumerate(sealed[2:]):
            number, direction = divmod(i, 2)
            nonce = number.to_bytes(12, "big")
            self.assertEqual(aeads[direction].encrypt(nonce, plain[2 + i], None), expected)
