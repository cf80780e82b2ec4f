"""
``rdv.testing``: the network below it.
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Address as IPv4
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    connectProtocol,
)
from twisted.internet.error import (
    CannotListenError,
    ConnectError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
)
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import (
    IConnector,
    IConsumer,
    IHostnameResolver,
    IListeningPort,
    IPushProducer,
    IReactorFDSet,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import ClientFactory, Factory, Protocol, ServerFactory
from twisted.internet.tcp import makeBinding
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rdv.addresses import Address
from rdv.client.dial.shared_port import IClientReactor
from rdv.test.doubles import HalfWire, Wire, present
from rdv.testing import host as host_module
from rdv.testing import network as network_module
from rdv.testing.network import Network
from rdv.testing.transport import BUFFER, MemorySocket

TRANSPORT = (ITransport, ITCPTransport, IConsumer, IPushProducer)
HERE, THERE = IPv4("10.0.0.1"), IPv4("10.0.0.2")


class Listener(ServerFactory[Any]):
    """Keeps what it has built. :ivar refusing: whether it builds nothing."""

    noisy = False
    refusing = False

    def __init__(self, kind: type[Wire] = Wire) -> None:
        self._kind = kind
        self.wires: list[Wire] = []
        self.peers: list[object] = []
        self.running = 0

    def startFactory(self) -> None:
        self.running += 1

    def stopFactory(self) -> None:
        self.running -= 1

    def buildProtocol(self, addr: object) -> Any:
        self.peers.append(addr)
        if self.refusing:
            return None
        self.wires.append(self._kind())
        return self.wires[-1]


class NetworkTestCase(SynchronousTestCase):
    """Two hosts, of which one listens."""

    def setUp(self) -> None:
        self.network = Network()
        self.here = self.network.host(HERE)
        self.there = self.network.host(THERE, "there.test")
        self.listener = Listener()
        self.port = self.there.listenTCP(7, self.listener)

    def connect(self, host: str = str(THERE), port: int = 7, **options: Any) -> Deferred[Wire]:
        """Connect, as far as it goes at once."""
        connecting: Deferred[Wire] = connectProtocol(
            TCP4ClientEndpoint(self.here, host, port, **options), Wire()
        )
        self.network.flush()
        return connecting

    def connected(self) -> tuple[Wire, Wire]:
        """A connection: both protocols."""
        near = self.successResultOf(self.connect())
        return near, self.listener.wires[-1]

    def failure_of(self, connecting: Deferred[Wire], kind: type[Exception], others: int = 0) -> Any:
        """Why it does not connect; nothing is left but other connections."""
        error = self.failureResultOf(connecting, kind).value
        self.assertEqual(self.here.getDelayedCalls(), [])
        self.assertEqual(len(self.here.transports), others)
        return error


class InterfaceTests(NetworkTestCase):
    """The doubles provide the interfaces that they declare."""

    def test_interfaces(self) -> None:
        near, far = self.connected()
        connector = self.here.connectTCP("there.test", 7, ClientFactory[Any]())
        for interface, thing in (
            (IClientReactor, self.here),
            (IReactorTCP, self.here),
            (IReactorTime, self.here),
            (IReactorPluggableNameResolver, self.here),
            (IHostnameResolver, self.network.names),
            (IListeningPort, self.port),
            (IConnector, connector),
            *((interface, near.transport) for interface in TRANSPORT),
            *((interface, far.transport) for interface in TRANSPORT),
        ):
            verifyObject(interface, thing)
        self.assertFalse(IReactorFDSet.providedBy(self.here))
        self.assertEqual(connector.getDestination(), IPv4Address("TCP", "there.test", 7))
        connector.disconnect()
        self.network.flush()
        self.assertEqual(len(self.listener.wires), 1)


class ConnectTests(NetworkTestCase):
    """The response to a SYN."""

    def test_addresses(self) -> None:
        near, far = self.connected()
        near_transport, far_transport = near.transport, far.transport
        assert near_transport is not None and far_transport is not None
        self.assertEqual(near_transport.getPeer(), IPv4Address("TCP", str(THERE), 7))
        self.assertEqual(near_transport.getHost(), far_transport.getPeer())
        self.assertEqual(near_transport.getPeer(), far_transport.getHost())
        self.assertEqual(self.listener.peers, [near_transport.getHost()])

    def test_bound(self) -> None:
        """In each form that Twisted's reactors take."""
        for number, binding in ((1, (str(HERE), 1)), (2, makeBinding("", 2))):
            self.successResultOf(self.connect(bindAddress=binding))
            self.assertEqual(self.listener.peers[-1], IPv4Address("TCP", str(HERE), number))

    def test_same_ports_again(self) -> None:
        """There is one connection between two ports."""
        wire = self.successResultOf(self.connect(bindAddress=("", 5)))
        error = self.failureResultOf(self.connect(bindAddress=("", 5)), ConnectError).value
        self.assertEqual(error.osError, errno.EADDRINUSE)
        wire.close()
        self.network.flush()
        self.successResultOf(self.connect(bindAddress=("", 5)))

    def test_from_both_sides(self) -> None:
        """Two who dial each other from the ports at which they listen get one connection."""
        self.here.listenTCP(9, Listener())
        there = TCP4ClientEndpoint(self.there, str(HERE), 9, bindAddress=("", 7))
        first = connectProtocol(there, Wire())
        self.failureResultOf(self.connect(bindAddress=("", 9)), ConnectError)
        self.successResultOf(first)
        self.assertEqual(self.listener.wires, [])

    def test_by_name(self) -> None:
        self.successResultOf(self.connect("there.test"))
        endpoint = HostnameEndpoint(self.here, "there.test", 7)
        connecting = connectProtocol(endpoint, Wire())
        self.network.flush()
        self.successResultOf(connecting)
        self.assertEqual(len(self.here.transports), 2)
        self.failureResultOf(self.connect("nowhere.test"), DNSLookupError)

    def test_loopback(self) -> None:
        """Each host has its own, and no firewall before it."""
        self.network.shielded.add(HERE)
        local = Listener()
        self.here.listenTCP(8, local)
        for name in ("127.0.0.1", "localhost", str(HERE)):
            self.successResultOf(self.connect(name, 8))
        connecting = connectProtocol(HostnameEndpoint(self.here, "localhost", 8), Wire())
        self.network.flush()
        self.successResultOf(connecting)
        self.assertEqual(len(local.wires), 4)
        self.failureResultOf(self.connect("127.0.0.1", 7), Refused)

    def test_refused(self) -> None:
        error = self.failure_of(self.connect(port=8), Refused)
        self.assertEqual(error.osError, errno.ECONNREFUSED)
        self.here.listenTCP(11, Listener())
        to_itself = self.connect(str(HERE), 11, bindAddress=("", 11))
        self.failure_of(to_itself, Refused)

    def test_no_answer(self) -> None:
        """From an address that nobody has, and through a firewall."""
        self.network.shielded.add(THERE)
        for host in ("203.0.113.5", str(THERE)):
            connecting = self.connect(host, timeout=5)
            self.network.advance(4.9)
            self.assertNoResult(connecting)
            self.network.advance(0.1)
            self.failure_of(connecting, ConnectTimeoutError)

    def test_cancelled(self) -> None:
        for host in ("203.0.113.5", str(THERE)):
            endpoint = TCP4ClientEndpoint(self.here, host, 7)
            connecting = connectProtocol(endpoint, Wire())
            connecting.cancel()
            self.network.flush()
            self.failure_of(connecting, ConnectingCancelledError)
        self.assertEqual(self.listener.wires, [])

    def test_lost(self) -> None:
        """The factory is told."""
        reasons: list[Failure] = []
        factory: Any = ClientFactory.forProtocol(Wire)
        factory.noisy = False
        factory.clientConnectionLost = lambda connector, reason: reasons.append(reason)
        self.here.connectTCP(str(THERE), 7, factory)
        self.network.flush()
        self.listener.wires[0].close()
        self.network.flush()
        (reason,) = reasons
        reason.trap(ConnectionDone)

    def test_not_wanted(self) -> None:
        """A listener that builds no protocol closes."""
        self.listener.refusing = True
        wire = self.successResultOf(self.connect())
        present(wire.reason).trap(ConnectionDone)

    def test_no_protocol_for_it(self) -> None:
        """Neither does a client have to."""
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        connecting = TCP4ClientEndpoint(self.here, str(THERE), 7).connect(factory)
        self.network.flush()
        self.failureResultOf(connecting)
        (far,) = self.listener.wires
        assert far.reason is not None
        self.assertEqual(self.here.transports, [])


class ListenTests(NetworkTestCase):
    """Ports."""

    def test_port_is_taken(self) -> None:
        with self.assertRaises(CannotListenError):
            self.there.listenTCP(7, Listener())
        self.port.stopListening()
        self.there.listenTCP(7, Listener())
        self.port.stopListening()  # no longer its own
        self.successResultOf(self.connect())

    def test_any_port_but_those_in_use(self) -> None:
        """The numbers begin again at their end, and leave out what is taken."""
        self.patch(host_module, "_EPHEMERAL", range(50000, 50004))
        here = self.network.host(IPv4("10.0.0.3"))
        connecting = connectProtocol(TCP4ClientEndpoint(here, str(THERE), 7), Wire())
        self.network.flush()
        self.assertEqual(self.successResultOf(connecting).transport.getHost().port, 50000)
        found = []
        for _ in range(4):
            port: Any = here.listenTCP(0, Listener())
            found.append(port.getHost().port)
            if len(found) != 2:
                port.stopListening()
        self.assertEqual(found, [50001, 50002, 50003, 50001])

    def test_stop(self) -> None:
        """The connections stay, and nobody else comes."""
        near, far = self.connected()
        self.successResultOf(TCP4ServerEndpoint(self.there, 0).listen(Listener()))
        self.assertEqual(self.listener.running, 1)
        self.port.stopListening()
        near.write(b"still there")
        self.network.flush()
        self.assertEqual(far.data, b"still there")
        self.assertEqual(self.listener.running, 0)
        self.failure_of(self.connect(), Refused, 1)


class TransportTests(NetworkTestCase):
    """Bytes, and the ends of them: as over TCP."""

    def test_bytes_before_a_reset(self) -> None:
        """They arrive, as does the reset."""
        near, far = self.connected()
        near.write(b"last words")
        self.network.flush()
        self.here.transports[0].abortConnection()
        self.network.flush()
        self.assertEqual(far.data, b"last words")
        present(far.reason).trap(ConnectionLost)

    def test_paused(self) -> None:
        near, far = self.connected()
        transport: Any = far.transport
        transport.pauseProducing()
        near.write(b"x" * 1000)
        near.close()
        self.network.flush()
        self.assertEqual((far.data, far.reason), (b"", None))
        transport.resumeProducing()
        self.network.flush()
        self.assertEqual(far.data, b"x" * 1000)
        present(far.reason).trap(ConnectionDone)

    def test_write_to_one_that_is_gone(self) -> None:
        near = HalfWire()
        connectProtocol(TCP4ClientEndpoint(self.here, str(THERE), 7), near)
        self.network.flush()
        self.listener.wires[0].close()
        self.network.flush()
        self.assertEqual((near.read_ended, near.reason), (1, None))
        near.write(b"anybody?")
        self.network.flush()
        self.assertIsNone(near.reason)  # the end was read before: the reset does not show
        near.write(b"nobody")
        self.network.flush()
        present(near.reason).trap(ConnectionLost)

    def test_protocol_that_fails(self) -> None:
        """It is logged, and the connection is gone, as with every reactor."""

        class Failing(Protocol):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError

        connectProtocol(TCP4ClientEndpoint(self.here, str(THERE), 7), Failing())
        self.network.flush()
        self.listener.wires[0].write(b"!")
        self.network.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.here.transports, [])
        self.assertEqual(self.there.transports, [])


class SocketTests(SynchronousTestCase):
    """A socket of its own."""

    def setUp(self) -> None:
        self.near, self.far = MemorySocket.pair(Address(HERE, 1), Address(THERE, 2))

    def assert_fails(self, number: int, action: Any, *arguments: object) -> None:
        """As the system would say it."""
        with self.assertRaises(OSError) as raised:
            action(*arguments)
        self.assertEqual(raised.exception.args[0], number)

    def test_room(self) -> None:
        """So much goes in, and no more before some was read."""
        self.assertFalse(self.far.readable)
        self.assert_fails(errno.EWOULDBLOCK, self.far.recv, 1)
        self.assertEqual(self.near.send(bytes(BUFFER + 1)), BUFFER)
        self.assertFalse(self.near.writable)
        self.assert_fails(errno.EWOULDBLOCK, self.near.send, b"x")
        self.assertEqual(len(self.far.recv(10)), 10)
        self.assertTrue(self.near.writable)
        self.assertEqual(self.near.send(memoryview(bytes(20))), 10)

    def test_nothing_to_send(self) -> None:
        """Which Twisted does when it closes."""
        self.near.send(bytes(BUFFER))
        self.assertEqual(self.near.send(b""), 0)
        self.far.recv(BUFFER)
        self.far.close()
        self.assertEqual(self.near.send(b""), 0)

    def test_closed_with_bytes_unread(self) -> None:
        """Which is no end."""
        self.near.send(bytes(BUFFER))
        self.far.send(b"said before")
        self.assertFalse(self.near.writable)
        self.far.close()
        self.assertTrue(self.near.writable)
        self.assertEqual(self.near.recv(20), b"said before")
        self.assert_fails(errno.ECONNRESET, self.near.recv, 1)
        self.assert_fails(errno.EPIPE, self.near.send, b"x")

    def test_sent_to_one_that_has_closed(self) -> None:
        """The first piece leaves, as nobody knows; the end that was on its way stays one."""
        self.far.send(b"said before")
        self.far.close()
        self.assertEqual(self.near.send(b"anybody?"), 8)
        self.assert_fails(errno.EPIPE, self.near.send, b"nobody")
        self.assertEqual([self.near.recv(20), self.near.recv(1)], [b"said before", b""])


class ClockTests(NetworkTestCase):
    """Time."""

    def test_each_call_at_its_own_time(self) -> None:
        times: list[float] = []
        self.here.callLater(3.0, lambda: times.append(self.here.seconds()))
        self.here.callLater(3.0, lambda: late.cancel())
        late = self.here.callLater(3.0, self.fail)
        self.there.callLater(1.0, lambda: times.append(self.here.seconds()))
        self.here.callLater(7.0, lambda: times.append(self.here.seconds()))
        self.network.advance(5.5)
        self.assertEqual(times, [1.0, 3.0])
        self.assertEqual(self.here.seconds(), 5.5)
        self.assertEqual(len(self.here.getDelayedCalls()), 1)
        self.assertEqual(self.there.getDelayedCalls(), [])

    def test_what_comes_of_a_call_is_delivered_before_the_next(self) -> None:
        near, far = self.connected()
        seen: list[bytes] = []
        self.here.callLater(1.0, near.write, b"a")
        self.here.callLater(2.0, lambda: seen.append(far.data))
        self.network.advance(2.0)
        self.assertEqual(seen, [b"a"])

    def test_without_end(self) -> None:
        """Calls that follow each other: those without a pause are told of, not waited for."""
        self.patch(network_module, "_TURNS", 100)
        times: list[float] = []

        def again(pause: float) -> None:
            times.append(self.here.seconds())
            self.here.callLater(pause, again, pause)

        again(0.1)
        self.network.advance(1.05)
        self.assertEqual(len(times), 11)
        again(0.0)
        with self.assertRaises(RuntimeError):
            self.network.flush()

    def test_only_forward(self) -> None:
        """And not for ever."""
        for seconds in (-1.0, float("nan"), float("inf")):
            with self.assertRaises(ValueError):
                self.network.advance(seconds)
        self.assertEqual(self.network.clock.seconds(), 0.0)
        self.here.callLater(1.0, lambda: 1 // 0)
        with self.assertRaises(ZeroDivisionError):  # the test's own exception
            self.network.advance(2.0)
