"""What is done to sockets, on a TCP transport of Twisted that has lost its connection."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv._system.sockets import linger, socket_of, tune, unread
from rdv._system.tcp_info import undelivered
from rdv.test.doubles import CLIENT, Recorder
from rdv.test.transport.doubles import OneProtocol


class LostTransportTests(SynchronousTestCase):
    """The helpers may be called by whoever has not yet heard of the loss."""

    def connected(self) -> Any:
        """A transport of Twisted above a real socket."""
        near, far = socket.socketpair()
        self.addCleanup(far.close)
        self.addCleanup(near.close)
        self.recorder = Recorder()
        return Connection(near, self.recorder, MemoryReactor())

    def assert_no_socket(self, transport: object) -> None:
        """There is nothing to be done, and no error."""
        self.assertIsNone(socket_of(transport))
        self.assertIsNone(unread(transport))
        self.assertEqual(undelivered(transport), 0)
        tune(transport)
        linger(transport, True)

    def test_before(self) -> None:
        self.assertIsInstance(socket_of(self.connected()), socket.socket)

    def test_after(self) -> None:
        for reason in (ConnectionDone(), ConnectionLost()):
            transport = self.connected()
            transport.connectionLost(Failure(reason))
            self.assertIsNotNone(self.recorder.lost)
            self.assert_no_socket(transport)

    def test_under_a_wrapper(self) -> None:
        transport = self.connected()
        wrapper = WrappingFactory(OneProtocol(Recorder())).buildProtocol(CLIENT)
        wrapper.makeConnection(transport)
        self.assertIsInstance(socket_of(wrapper), socket.socket)
        transport.connectionLost(Failure(ConnectionDone()))
        self.assert_no_socket(wrapper)
