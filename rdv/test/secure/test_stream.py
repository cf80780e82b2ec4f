"""
Tests of :mod:`rdv._secure.stream`, by everything that can happen to it.

``RDV_MOVE_MODEL=2,2,2,2`` explores more: pieces of the dialer and of the acceptor, paths that are
tried, losses.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.order import Order, Signal
from rdv._secure.stream import Stream
from rdv.test.secure.explorer import Explorer
from rdv.test.secure.move_model import Bounds
from rdv.wire import Role

#: Each shows what the others do not: both write, two paths are tried, two are lost.
SMALL = [Bounds((1, 1), 1, 1), Bounds((0, 0), 2, 1), Bounds((0, 0), 1, 2)]
NO_LOSS = Bounds((1, 1), 1, 0)
UNREAD = "a path is closed, and something unread on it"
BREAKS = "it breaks though nothing was lost that it needs"


def bounds() -> list[Bounds]:
    """What is to be explored."""
    more = os.environ.get("RDV_MOVE_MODEL")
    if more is None:
        return SMALL
    there, back, joins, losses = map(int, more.split(","))
    return [Bounds((there, back), joins, losses)]


class ModelTests(SynchronousTestCase):
    """Whatever happens, and in whatever order."""

    def test_explored(self) -> None:
        """
        Nothing is lost without notice, doubled or reordered; it does not hang; success of a sender
        is a receipt; what is not needed may be lost; and a stream that has moved leaves its first
        path, be it idle.
        """
        for each in bounds():
            found = Explorer(each).run()
            self.assertEqual(found.faults, {}, each)
            self.assertGreater(found.states, 2000)
            self.assertEqual(set(found.ends) - {(True, True)} != set(), each.losses > 0)

    def found_wrong(self, kind: type[Stream], fault: str, bounds: Bounds = NO_LOSS) -> None:
        """The model finds that rules are wrong."""
        self.assertIn(fault, Explorer(bounds, kind).run(until=fault).faults)

    def test_first_path_left_when_all_was_said(self) -> None:
        """The peer has not: some servers end both directions, and what it says is lost."""

        class Said(Stream):
            first_is_done = property(lambda self: self.first.sent_last is Signal.MOVE)

        self.found_wrong(Said, UNREAD)
        self.found_wrong(Said, BREAKS)

    def test_first_path_left_when_all_was_read(self) -> None:
        """The same for the other direction."""

        class Read(Stream):
            first_is_done = property(lambda self: self.first.read_last is Signal.MOVE)

        self.found_wrong(Read, BREAKS)

    def test_first_path_left_before_the_receipt(self) -> None:
        """An end that was said on it is to be confirmed on it."""

        class Unconfirmed(Stream):
            first_is_done = property(
                lambda self: None not in (self.first.sent_last, self.first.read_last)
            )

        self.found_wrong(Unconfirmed, BREAKS)

    def test_every_end_breaks(self) -> None:
        """A path is closed in good order, too."""

        class Strict(Stream):
            broken = property(lambda self: bool(self.gone))

        self.found_wrong(Strict, BREAKS)

    def test_no_loss_breaks(self) -> None:
        """Who waits for what was on a lost path waits for ever."""

        class Patient(Stream):
            broken = property(lambda self: False)

        self.found_wrong(Patient, "it hangs", SMALL[0])

    def test_end_without_receipt(self) -> None:
        """What was sent is not what has arrived."""

        class Hasty(Stream):
            over = property(
                lambda self: (
                    self.writing.sent_last is Signal.END
                    and self.reading is not None
                    and self.reading.read_last is Signal.END
                )
            )

        fault = "it ends well, and the other side has not got everything"
        self.found_wrong(Hasty, fault, Bounds((1, 1), 0, 1))

    def test_reading_ahead(self) -> None:
        """What comes on the path that joins waits for MOVE on the first one."""

        class Ahead(Stream):
            def reads(self, path: Order, *, paused: bool = False) -> bool:
                return True

        self.found_wrong(Ahead, "piece 1 behind 0")


class PauseTests(SynchronousTestCase):
    """An application that takes nothing at the moment."""

    def setUp(self) -> None:
        self.first = Order(Role.ACCEPTOR, moves=True)
        self.stream = Stream(self.first)
        self.joining = Order(Role.ACCEPTOR, first=self.first, moves=True)
        self.stream.join(self.joining)

    def reads(self) -> list[tuple[bool, bool]]:
        """What is read of each path: in general, and while the application takes nothing."""
        return [
            (self.stream.reads(path), self.stream.reads(path, paused=True))
            for path in (self.first, self.joining)
        ]

    def test_moves(self) -> None:
        """It holds back what carries data, and never HERE, DONE, or an end of TCP."""
        self.assertEqual(self.reads(), [(True, False), (True, True)])
        self.joining.take(Signal.HERE)
        self.stream.take_over(self.joining)
        self.assertEqual(self.reads(), [(True, False), (False, False)])
        self.first.take(Signal.MOVE)
        self.assertEqual(self.reads(), [(True, True), (True, False)])
        self.joining.take(Signal.END)
        self.assertEqual(self.reads(), [(True, True), (True, False)])
        self.joining.say(Signal.DONE)
        self.assertEqual(self.reads(), [(True, True), (True, True)])

    def test_ends_where_it_was(self) -> None:
        """Nothing but DONE comes on the other path then."""
        self.joining.take(Signal.HERE)
        self.stream.take_over(self.joining)
        self.first.take(Signal.END)
        self.assertEqual(self.reads(), [(True, False), (True, True)])


class JoinTests(SynchronousTestCase):
    """Whether another path is of any use."""

    def test_can_move(self) -> None:
        """As long as one direction has not ended, and none has taken over."""
        for moves in (False, True):
            for role in Role:
                first = Order(role, moves=moves)
                stream = Stream(first)
                if role is Role.DIALER:
                    first.take(Signal.READY)
                self.assertEqual(stream.can_move, moves)
                first.say(Signal.END)
                self.assertEqual(stream.can_move, moves)
                first.take(Signal.END)
                self.assertFalse(stream.can_move)

    def test_end_is_out(self) -> None:
        """A direction that has ended does not move; the other one does."""
        first = Order(Role.DIALER, moves=True)
        first.take(Signal.READY)
        first.say(Signal.END)
        stream = Stream(first)
        path = Order(Role.DIALER, first=first, moves=True)
        stream.join(path)
        path.take(Signal.READY)
        self.assertEqual(stream.take_over(path), [(path, Signal.HERE)])
        self.assertEqual((stream.can_move, stream.writing, stream.reading), (False, first, first))
        first.take(Signal.MOVE)
        self.assertIs(stream.reading, path)
        path.take(Signal.END)
        path.say(Signal.DONE)
        self.assertEqual((stream.first_is_done, stream.delivered, stream.over), (False,) * 3)
        first.take(Signal.DONE)
        self.assertEqual((stream.first_is_done, stream.delivered, stream.over), (True,) * 3)
