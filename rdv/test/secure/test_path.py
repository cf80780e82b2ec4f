"""
Tests of :mod:`rdv._secure.path`.
"""

from __future__ import annotations

from itertools import chain, product

from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.handshake import Cipher
from rdv._secure.path import SecurePath, Signal
from rdv._secure.records import Control, RecordType, Sealer
from rdv.errors import ProtocolError
from rdv.test.secure.doubles import SESSION, paths
from rdv.wire import Role

ACCEPTOR, DIALER = Role.ACCEPTOR, Role.DIALER
READY = RecordType.CONTROL, bytes([Control.READY])
DONE = RecordType.CONTROL, bytes([Control.DONE])
END = RecordType.END, b"\1\0"
DATA = RecordType.DATA, b"data"


def events(path: SecurePath, sealed: list[bytes]) -> list[object]:
    """What it makes of them."""
    found = path.receive(b"".join(sealed))
    return [each if isinstance(each, Signal) else bytes(each) for each in found]


class PathTests(SynchronousTestCase):
    """Records in the order that both keep to."""

    def test_stream(self) -> None:
        """A whole stream."""
        acceptor, dialer = paths()
        early = dialer.seal(b"hello")  # before it knows whether the peer is there
        self.assertEqual((acceptor.ready, dialer.ready), (True, False))
        self.assertEqual(events(dialer, acceptor.announce()), [Signal.READY])
        self.assertEqual(events(acceptor, early + dialer.end()), [b"hello", Signal.END])
        answer = acceptor.seal(b"world") + acceptor.confirm_end() + acceptor.end()
        self.assertEqual(events(dialer, answer), [b"world", Signal.DONE, Signal.END])
        self.assertEqual((acceptor.over, dialer.over, dialer.delivered), (False, False, True))
        self.assertEqual(events(acceptor, dialer.confirm_end()), [Signal.DONE])
        self.assertTrue(dialer.ready and acceptor.over and dialer.over)

    def test_each_direction_has_its_key(self) -> None:
        """What one side sends cannot be sent back to it."""
        acceptor, _ = paths()
        self.assertRaises(ProtocolError, events, acceptor, acceptor.seal(b"x"))


class ViolationTests(SynchronousTestCase):
    """What a holder of the secret may not say."""

    def said(
        self, role: Role, *records: tuple[int, bytes], ended: bool = False
    ) -> tuple[list[object], bool]:
        """What the side that is ``role`` makes of these records, and whether it breaks off."""
        key = SESSION.dialer_key if role is ACCEPTOR else SESSION.acceptor_key
        sealer = Sealer(key, Cipher.AES_256_GCM)
        pieces = [sealer.seal(RecordType(kind), plain) for kind, plain in records]
        sealed = b"".join(chain.from_iterable(pieces))
        path = SecurePath(role, SESSION, Cipher.AES_256_GCM)
        if ended:
            path.end()
        found: list[object] = []
        try:
            for event in path.receive(sealed):
                found.append(event)
        except ProtocolError:
            return found, True
        return found, False

    def test_order(self) -> None:
        """All that may not follow."""
        for role, records in [
            (DIALER, [DATA]),
            (DIALER, [END]),
            (DIALER, [DONE]),
            (DIALER, [(RecordType.CONTROL, b"")]),
            (DIALER, [(RecordType.CONTROL, b"\x63")]),
            (DIALER, [READY, READY]),
            (ACCEPTOR, [READY]),
            *product([ACCEPTOR], [[END, DATA], [END, END], [(RecordType.CONTROL, b"")], [DONE]]),
            *((ACCEPTOR, [(RecordType.CONTROL, bytes([each]))]) for each in (2, 3, 5, 6)),
            *((ACCEPTOR, [(RecordType.END, each)]) for each in (b"", b"\1", b"\2\0", b"\1\0\0")),
        ]:
            self.assertEqual((self.said(role, *records)[1], records), (True, records))

    def test_allowed(self) -> None:
        """What is nearest to that, and may follow."""
        for role, records, count in [
            (DIALER, [READY, DATA, END], 3),
            (ACCEPTOR, [DATA, (RecordType.CONTROL, b"\x63new"), END], 2),
            (ACCEPTOR, [END, (RecordType.CONTROL, b"\x63")], 1),
            (ACCEPTOR, [(RecordType.DATA, b"")], 1),
        ]:
            found, broken = self.said(role, *records)
            self.assertEqual((len(found), broken), (count, False))

    def test_done(self) -> None:
        """Once, and for an end that was sent."""
        self.assertEqual(self.said(ACCEPTOR, DONE, ended=True), ([Signal.DONE], False))
        self.assertTrue(self.said(ACCEPTOR, DONE, DONE, ended=True)[1])

    def test_unknown_type(self) -> None:
        """Types that no version has."""
        for kind in (0, 20, 24, 255):
            path = SecurePath(ACCEPTOR, SESSION, Cipher.AES_256_GCM)
            sealer = Sealer(SESSION.dialer_key, Cipher.AES_256_GCM)
            sealed = sealer.seal(kind, b"x")  # type: ignore[arg-type]
            self.assertRaises(ProtocolError, events, path, sealed)

    def test_good_ones_before(self) -> None:
        """What came before is not lost."""
        found, broken = self.said(ACCEPTOR, DATA, DATA, READY)
        self.assertEqual((len(found), broken), (2, True))
