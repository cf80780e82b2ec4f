"""
A protocol that is notified of its connection's path.
"""

from __future__ import annotations

from zope.interface import implementer
from zope.interface.verify import verifyClass

from rdv.client import IPathListener
from rdv.client.stream.connection import Connection
from rdv.test.client.stream.probation_case import ProbationTestCase
from rdv.test.doubles import HalfCloseRecorder


@implementer(IPathListener)
class Listener(HalfCloseRecorder):
    """:ivar ways: for each notification, whether the new path is the relay."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: list[bool] = []

    def path_changed(self) -> None:
        assert isinstance(self.transport, Connection)
        self.ways.append(self.transport.is_relay)


class Writer(Listener):
    """Writes something at each notification."""

    def path_changed(self) -> None:
        super().path_changed()
        assert self.transport is not None
        self.transport.write(b"; changed")


class PathListenerTests(ProbationTestCase):
    """The relay takes the place of a direct path that proved dead."""

    def attached(self, wire: Listener) -> Listener:
        self.begin(attach=False)
        self.wire = wire
        self.connection.attach(self.wire)
        self.clock.advance(0)
        return wire

    def change(self) -> None:
        """It does, but no turn of the reactor has come since."""
        self.direct.near.lose(ConnectionError())
        self.assertTrue(self.connection.is_relay)

    def test_interface(self) -> None:
        verifyClass(IPathListener, Listener)

    def test_told(self) -> None:
        """Once, when it is so; not of the path that it began with."""
        wire = self.attached(Listener())
        self.assertEqual(wire.ways, [])
        self.direct.lose()
        self.assertEqual(wire.ways, [True])
        self.assert_relayed()

    def test_next_turn(self) -> None:
        """What it writes goes behind what was written before, and is not in anybody's way."""
        wire = self.attached(Writer())
        self.connection.write(b"first")
        self.change()
        self.assertEqual(wire.ways, [])
        self.clock.advance(0)
        self.assertEqual(self.relay.received, b"first; changed")

    def test_twice(self) -> None:
        """Of changes in one turn it is told once."""
        wire = self.attached(Listener())
        self.change()
        self.connection._receiver.path_changed()
        self.clock.advance(0)
        self.assertEqual(wire.ways, [True])

    def test_not_any_more(self) -> None:
        """Whoever has closed it, or was told that it is gone, hears no more of it."""
        for end in (
            lambda: self.connection.loseConnection(),
            lambda: self.connection.abortConnection(),
            lambda: self.relay.near.lose(ConnectionError()),
        ):
            wire = self.attached(Listener())
            self.change()
            end()
            self.connection._receiver.path_changed()
            self.clock.advance(0)
            self.assertEqual(wire.ways, [])

    def test_nobody_wants_to_know(self) -> None:
        """A protocol without the interface, and none at all."""
        self.direct.lose()
        self.assert_relayed()
        self.begin(attach=False)
        self.direct.lose()
        self.assert_relayed()
        self.connection.attach(wire := Listener())
        self.clock.advance(0)
        self.assertEqual(wire.ways, [])

    def test_failing(self) -> None:
        """Its error goes to the reactor, which logs it, and to nobody else."""
        wire = self.attached(Listener())
        wire.transport = None
        self.change()
        self.assertRaises(AssertionError, self.clock.advance, 0)
        self.assertTrue(self.relay.open)
