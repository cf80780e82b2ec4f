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
from rdv.test.secure.doubles import JOINING, SESSION, joining, paths
from rdv.wire import Role

ACCEPTOR, DIALER = Role.ACCEPTOR, Role.DIALER
READY, MOVE, HERE, DONE = (
    (RecordType.CONTROL, bytes([each]))
    for each in (Control.READY, Control.MOVE, Control.HERE, Control.DONE)
)
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
        self.assertEqual(events(dialer, acceptor.say(Signal.READY)), [Signal.READY])
        self.assertEqual(events(acceptor, early + dialer.say(Signal.END)), [b"hello", Signal.END])
        answer = acceptor.seal(b"world") + acceptor.say(Signal.DONE) + acceptor.say(Signal.END)
        self.assertEqual(events(dialer, answer), [b"world", Signal.DONE, Signal.END])
        self.assertFalse(acceptor.order.sent_done and acceptor.order.read_done)
        self.assertEqual(events(acceptor, dialer.say(Signal.DONE)), [Signal.DONE])
        self.assertTrue(dialer.ready)
        for path in (acceptor, dialer):
            self.assertTrue(path.order.sent_done and path.order.read_done)

    def test_each_direction_has_its_key(self) -> None:
        """What one side sends cannot be sent back to it."""
        acceptor, _ = paths()
        self.assertRaises(ProtocolError, events, acceptor, acceptor.seal(b"x"))


class JoinedTests(SynchronousTestCase):
    """A path that joins another one."""

    def setUp(self) -> None:
        self.first = paths(moves=True)
        self.acceptor, self.dialer = joining(*self.first)

    def test_session(self) -> None:
        """It is that of the first path; the keys are its own, and mixed with a key of the first."""
        self.assertEqual(self.dialer.session[2:], SESSION[2:])
        self.assertNotIn(self.dialer.session.dialer_key, (SESSION.dialer_key, JOINING.dialer_key))
        # The records of a path that has joined another stream, with otherwise equal keys, are not
        # accepted.
        another = SESSION._replace(join_key=bytes(32))
        first = SecurePath(DIALER, another, Cipher.AES_256_GCM, moves=True)
        dialer = SecurePath(DIALER, JOINING, Cipher.AES_256_GCM, moves=True, first=first)
        self.assertRaises(ProtocolError, events, self.acceptor, dialer.say(Signal.HERE))

    def test_move(self) -> None:
        """Each direction, and the end of each on the new path."""
        (a1, d1), (a2, d2) = self.first, (self.acceptor, self.dialer)
        self.assertEqual(events(d1, a1.say(Signal.READY)), [Signal.READY])
        self.assertEqual((a2.ready, d2.ready), (False, False))
        self.assertEqual(events(d2, a2.say(Signal.READY)), [Signal.READY])
        self.assertEqual(events(a2, d2.say(Signal.HERE)), [Signal.HERE])
        self.assertTrue(a2.ready and d2.ready)
        for one, other, joined, there in ((d1, a1, d2, a2), (a1, d1, a2, d2)):
            said = one.seal(b"before") + one.say(Signal.MOVE)
            self.assertEqual(events(other, said), [b"before", Signal.MOVE])
            said = joined.seal(b"behind") + joined.say(Signal.END)
            self.assertEqual(events(there, said), [b"behind", Signal.END])
        self.assertEqual(events(d2, a2.say(Signal.DONE)), [Signal.DONE])
        self.assertRaises(ProtocolError, events, d1, a1.say(Signal.DONE))

    def test_data_of_a_direction_that_has_not_moved(self) -> None:
        """Not before MOVE, nor if the direction has ended where it was."""
        for last in (None, Signal.END):
            self.setUp()
            if last is not None:
                self.assertEqual(events(self.first[0], self.first[1].say(last)), [last])
            events(self.acceptor, self.dialer.say(Signal.HERE))
            self.assertRaises(ProtocolError, events, self.acceptor, self.dialer.seal(b"x"))


class ViolationTests(SynchronousTestCase):
    """What a holder of the secret must not send."""

    def said(
        self,
        role: Role,
        *records: tuple[int, bytes],
        ended: bool = False,
        moves: bool = False,
        joins: bool = False,
        key_limit: int = 1 << 24,
    ) -> tuple[list[object], bool]:
        """What the side that is ``role`` makes of these records, and whether it breaks off."""
        path = paths(moves=moves)[role is DIALER]
        if joins:
            path.order.read_last = Signal.MOVE
            path = joining(path, path)[0]
        session = path.session
        key = session.dialer_key if role is ACCEPTOR else session.acceptor_key
        sealer = Sealer(key, Cipher.AES_256_GCM, limit=key_limit)
        pieces = [sealer.seal(RecordType(kind), plain) for kind, plain in records]
        sealed = b"".join(chain.from_iterable(pieces))
        if ended:
            path.say(Signal.END)
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

    def test_order_of_a_move(self) -> None:
        """On the first path, when both can move, and on another one."""
        for role, records, joins, broken in [
            (ACCEPTOR, [DATA, MOVE], False, False),
            *((ACCEPTOR, [MOVE, each], False, True) for each in (DATA, END, MOVE, DONE, HERE)),
            *((ACCEPTOR, [END, each], False, True) for each in (DATA, END, MOVE, DONE, HERE)),
            (ACCEPTOR, [HERE], False, True),
            (DIALER, [READY, HERE], False, True),
            (DIALER, [MOVE], False, True),
            (DIALER, [READY, MOVE], False, False),
            (ACCEPTOR, [HERE, DATA, END], True, False),
            *((ACCEPTOR, [each], True, True) for each in (DATA, END, MOVE, DONE, READY)),
            *((ACCEPTOR, [HERE, each], True, True) for each in (HERE, MOVE, DONE, READY)),
            (DIALER, [READY, DATA, END], True, False),
            *((DIALER, [each], True, True) for each in (DATA, END, MOVE, DONE, HERE)),
            *((DIALER, [READY, each], True, True) for each in (HERE, MOVE, DONE, READY)),
        ]:
            found = self.said(role, *records, moves=True, joins=joins)[1]
            self.assertEqual((found, role, records), (broken, role, records))

    def test_key_before_the_first_record(self) -> None:
        """Nobody changes a key before he has said that he is there."""
        key = RecordType.CONTROL, bytes([Control.REKEY])
        for role, first, joins in (
            (DIALER, READY, False),
            (DIALER, READY, True),
            (ACCEPTOR, HERE, True),
        ):
            self.assertTrue(self.said(role, key, moves=True, joins=joins)[1])
            # After it, the key is another one.
            found = self.said(role, first, DATA, DATA, moves=True, joins=joins, key_limit=2)
            self.assertEqual((len(found[0]), found[1]), (3, False))
        self.assertEqual(
            self.said(ACCEPTOR, DATA, DATA, key_limit=2), self.said(ACCEPTOR, DATA, DATA)
        )

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
