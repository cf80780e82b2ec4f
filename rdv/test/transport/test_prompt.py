"""Connections that write at once: in everything else they are as Twisted's."""

from __future__ import annotations

import socket
from errno import ENOBUFS
from hashlib import sha256
from random import Random
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Connection, Server
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from rdv._system.sockets import linger
from rdv._transport import prompt
from rdv._transport.prompt import PromptServer, hasten
from rdv.test.sockets import REACTOR, Handle, turn, until

KIBI = 1 << 10


@implementer(IHalfCloseableProtocol)
class Told(Protocol):
    """
    What happens to the server's end.

    :ivar calls: in their order.
    """

    transport: Any
    lost: Failure | None = None

    def __init__(self) -> None:
        self.calls: list[object] = []

    def dataReceived(self, data: bytes) -> None:
        self.calls.append(data)

    def readConnectionLost(self) -> None:
        self.calls.append("read end")

    def writeConnectionLost(self) -> None:
        self.calls.append("write end")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.calls.append(reason.type)
        self.lost = reason


class Producer:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def resumeProducing(self) -> None:
        self.asked.append("resume")

    def pauseProducing(self) -> None:
        self.asked.append("pause")

    def stopProducing(self) -> None:
        self.asked.append("stop")


class PromptTestCase(TestCase):
    """
    A port, and connections to it.

    :ivar told: the protocol of the latest.
    """

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]
        factory: Any = Factory.forProtocol(Told)
        factory.noisy = False
        self.told: Told | None = None

        def build(addr: object) -> Told:
            self.told = Told()
            return self.told

        factory.buildProtocol = build
        self._port = REACTOR.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self._port.stopListening)

    async def come(self, hastened: bool = True, buffer: int = 0) -> tuple[Told, socket.socket]:
        """A client: the server's end, and its own."""
        client = socket.socket()
        self.addCleanup(client.close)
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.connect(("127.0.0.1", self._port.getHost().port))
        client.settimeout(30)
        self.told = None
        await until(lambda: self.told is not None)
        told: Any = self.told
        self.addCleanup(told.transport.abortConnection)
        if buffer:
            option = (socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            told.transport.getHandle().setsockopt(*option)
        if hastened:
            hasten(told.transport)
            self.assertIs(type(told.transport), PromptServer)
        return told, client

    async def read(self, client: socket.socket, told: Told) -> bytes:
        """All that comes until the end, or until it is reset."""
        client.setblocking(False)
        received = b""
        while True:
            try:
                data = client.recv(1 << 20)
            except BlockingIOError:
                await turn()
                continue
            except ConnectionResetError:
                return received + b" RESET"
            if not data:
                return received
            received += data


class PromptTests(PromptTestCase):
    """What is faster."""

    async def test_written_at_once(self) -> None:
        """Without a turn of the reactor, and without being watched."""
        told, client = await self.come()
        self.patch(REACTOR, "addWriter", self.fail)
        told.transport.write(b"one")
        told.transport.writeSequence([b"two", b"three"])
        self.assertEqual(client.recv(100, socket.MSG_WAITALL | socket.MSG_PEEK)[:3], b"one")
        await until(lambda: len(client.recv(100, socket.MSG_PEEK)) == 11)

    async def test_closed_without_being_watched(self) -> None:
        """In the next turn, and with nothing sent."""
        for how, calls in (
            ("loseConnection", [ConnectionDone]),
            ("loseWriteConnection", ["write end"]),
        ):
            told, client = await self.come()
            self.patch(REACTOR, "addWriter", self.fail)
            self.patch(Connection, "writeSomeData", self.fail)
            getattr(told.transport, how)()
            self.assertEqual(told.calls, [])
            await turn()
            self.assertEqual(told.calls, calls)
            self.assertEqual(client.recv(1), b"")

    async def test_closed_behind_its_end(self) -> None:
        """At once, as Twisted does, and also by a Twisted that calls an end otherwise."""
        for known in (True, False):
            told, client = await self.come()
            told.transport.loseWriteConnection()
            await turn()
            if not known:
                self.patch(prompt, "has_shut_down", lambda connection: False)
            told.transport.loseConnection()
            self.assertEqual(told.calls, ["write end", ConnectionDone])
            self.assertEqual(client.recv(1), b"")
            told.transport.loseConnection()  # no more than once

    async def test_one_call_for_all(self) -> None:
        """Those that are due in one turn, of whom one that fails keeps none from closing."""

        def fail(reason: object = None) -> None:
            raise ZeroDivisionError

        guests = [await self.come() for _ in range(3)]
        before = len(REACTOR.getDelayedCalls())
        for told, _ in guests:
            told.transport.loseConnection()
        self.assertEqual(len(REACTOR.getDelayedCalls()), before + 1)
        guests[0][0].connectionLost = fail  # type: ignore[method-assign]
        await turn()
        for told, _ in guests[1:]:
            self.assertEqual(told.calls, [ConnectionDone])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_call_that_is_cancelled(self) -> None:
        """As trial does behind a test. Those that come later close all the same."""
        (one, _), (other, _) = [await self.come() for _ in range(2)]
        before = set(REACTOR.getDelayedCalls())
        one.transport.loseConnection()
        for call in set(REACTOR.getDelayedCalls()) - before:
            call.cancel()
        other.transport.loseConnection()
        await turn()
        for told in (one, other):
            self.assertEqual(told.calls, [ConnectionDone])


class OrdinaryTests(PromptTestCase):
    """What stays as it is."""

    def do(self, told: Told, what: str) -> None:
        """Something at the server's end."""
        getattr(told.transport, what)(*((b"x",) if what == "write" else ()))

    async def test_not_everything_at_once(self) -> None:
        """What the kernel has no room for comes behind it, and before whatever is written next."""
        told, client = await self.come(buffer=4 * KIBI)
        words = Random(1).randbytes(300 * KIBI)
        for begin in range(0, len(words), 7777):
            told.transport.write(words[begin : begin + 7777])
        told.transport.loseConnection()
        self.assertEqual(await self.read(client, told), words)
        await until(lambda: told.lost)

    async def test_something_to_write(self) -> None:
        """Who has something to write, or is closing, is left alone."""
        told, client = await self.come(hastened=False)
        told.transport.write(b"one")
        hasten(told.transport)
        self.assertIs(type(told.transport), Server)
        told.transport.write(b"two")
        told.transport.loseConnection()
        hasten(told.transport)
        self.assertIs(type(told.transport), Server)
        self.assertEqual(await self.read(client, told), b"onetwo")

    async def test_another_twisted(self) -> None:
        """One that calls what it buffers, or an end, otherwise is as slow as it is."""
        told, _ = await self.come(hastened=False)
        kept = told.transport.__dict__.pop("_tempDataLen")
        hasten(told.transport)
        self.assertIs(type(told.transport), Server)
        told.transport._tempDataLen = kept
        told.transport._writeDisconnecting = None
        hasten(told.transport)
        self.assertIs(type(told.transport), Server)

    async def test_end_or_producer(self) -> None:
        """Who has an end to send, or somebody to ask for more, is left alone."""
        told, client = await self.come(hastened=False)
        told.transport.loseWriteConnection()
        hasten(told.transport)
        self.assertIs(type(told.transport), Server)
        self.assertEqual(await self.read(client, told), b"")
        told, client = await self.come(hastened=False)
        producer = Producer()
        told.transport.registerProducer(producer, False)
        hasten(told.transport)
        self.assertIs(type(told.transport), Server)
        told.transport.unregisterProducer()

    async def test_no_room(self) -> None:
        """What the kernel has no memory for is sent later."""
        told, client = await self.come()

        class Short:
            """Says so once."""

            def send(self, data: bytes) -> int:
                told.transport.socket = told.transport.fileno.__self__
                raise OSError(ENOBUFS, "no room")

        told.transport.socket = Short()
        told.transport.write(b"late")
        told.transport.loseConnection()
        self.assertEqual(await self.read(client, told), b"late")

    def test_no_connection(self) -> None:
        """Of a port, that is."""
        handle = Handle(None)
        hasten(handle)
        self.assertIs(type(handle), Handle)

    async def test_producers(self) -> None:
        """One that pushes is paused when much is buffered; one that is asked is asked again."""
        told, client = await self.come(buffer=4 * KIBI)
        pushing, pulled = Producer(), Producer()
        told.transport.write(b"x")
        told.transport.registerProducer(pushing, True)
        self.assertEqual(pushing.asked, [])
        told.transport.write(b"x" * 300 * KIBI)
        self.assertEqual(pushing.asked, ["pause"])
        left = 300 * KIBI + 1
        while pushing.asked[-1] != "resume":
            left -= len(client.recv(left))
            await turn()
        told.transport.unregisterProducer()
        told.transport.registerProducer(pulled, False)
        for number in range(1, 4):
            self.assertEqual(pulled.asked, ["resume"] * number)
            told.transport.write(b"x")
            while len(pulled.asked) == number:
                await turn()
        told.transport.unregisterProducer()

    async def test_producer_that_fails(self) -> None:
        """Is logged, and the end of the connection."""
        told, _ = await self.come()
        producer: Any = Producer()
        told.transport.registerProducer(producer, False)
        producer.resumeProducing = lambda: 1 / 0
        told.transport.startWriting()
        await until(lambda: told.lost)
        self.assertEqual(told.calls, [ZeroDivisionError])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_reset(self) -> None:
        """It is a loss and no end, though the kernel tells of it once, whatever comes behind it."""
        for hastened in (False, True):
            for more in ("write", "loseWriteConnection", "loseConnection"):
                told, client = await self.come(hastened)
                linger(Handle(client), True)
                client.close()
                told.transport.write(b"x")
                self.do(told, more)
                while not told.lost:
                    await turn()
                self.assertEqual(told.calls, [ConnectionLost])

    async def test_reset_comes_first(self) -> None:
        """Before anything that was due later, since others may read from the socket, too."""
        told, client = await self.come()
        linger(Handle(client), True)
        client.close()
        told.transport.write(b"x")
        told.transport.write(b"x")
        self.assertEqual(told.calls, [])
        await turn()
        self.assertEqual(told.calls, [ConnectionLost])

    async def test_abort(self) -> None:
        """Counts, whatever was to be done in the next turn."""
        for before in ("loseConnection", "loseWriteConnection", "write"):
            told, client = await self.come()
            self.do(told, before)
            told.transport.abortConnection()
            await turn()
            self.assertEqual(told.calls, [ConnectionAborted])
            self.assertIn(b"RESET", await self.read(client, told))

    async def test_behind_an_abort(self) -> None:
        """Nothing is sent any more."""
        told, client = await self.come()
        told.transport.abortConnection()
        told.transport.write(b"too late")
        self.assertEqual(await self.read(client, told), b" RESET")
        await until(lambda: told.lost)

    async def test_nothing(self) -> None:
        """Keeps nobody from closing, and neither does what Twisted does not take."""
        for ends in ("loseConnection",), ("loseWriteConnection", "loseConnection"):
            for data in (b"", b"too late"):
                received = []
                for hastened in (False, True):
                    told, client = await self.come(hastened)
                    for end in ends:
                        getattr(told.transport, end)()
                    told.transport.write(data)
                    received.append(await self.read(client, told))
                self.assertEqual(*received)


class LikenessTests(PromptTestCase):
    """Whatever is done with it, both ends see what they would see with Twisted's."""

    async def outcome(self, seed: int, hastened: bool) -> tuple[list[object], bytes]:
        """What the protocol is told, and what the client gets, when that is done."""
        random = Random(seed)
        told, client = await self.come(hastened, buffer=random.choice((0, 4 * KIBI)))
        transport = told.transport
        names = ("write", "turn", "pauseProducing")
        for index, name in enumerate(random.choices(names, (6, 4, 1), k=12)):
            if name == "turn":
                await turn()
            elif name == "write":
                transport.write(b"%d;" % index * random.choice((1, 1, 30 * KIBI, 100 * KIBI)))
            else:
                transport.pauseProducing()
        if random.randrange(2):
            transport.loseWriteConnection()
            received = await self.read(client, told)
            await until(lambda: told.calls)
            transport.write(b"too late")
            transport.loseConnection()
        else:
            transport.loseConnection()
            received = await self.read(client, told)
        await until(lambda: told.lost)
        return told.calls, sha256(received).digest()

    async def test_likeness(self) -> None:
        for seed in range(40):
            wanted, got = [await self.outcome(seed, hastened) for hastened in (False, True)]
            self.assertEqual(got, wanted, f"seed {seed}")
