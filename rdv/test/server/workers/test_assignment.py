"""Clients come to any worker, and meet at the one that owns their token."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from rdv._system.clock import monotonic
from rdv.server import Outcome
from rdv.server.meeting import release
from rdv.server.passing.message import PassedClient
from rdv.server.refusals import BUSY
from rdv.server.workers.assignment import owner_of
from rdv.test.doubles import HalfWire
from rdv.test.server.doubles import request
from rdv.test.server.workers.doubles import ADDRESSES, HoldTestCase, token_of
from rdv.test.sockets import REACTOR, open_descriptors, tcp_pair, turn, until
from rdv.test.transport.doubles import PROXY_HEADER, proxied
from rdv.wire import Role, confirm_line, hello_line, refusal, switching_protocols

EARLY = refusal(400, "bytes before the response")


class OwnerTests(SynchronousTestCase):
    """``owner_of``."""

    def test_stable(self) -> None:
        """Whatever the process, and the seed of its hashes."""
        self.assertEqual([owner_of(b"token %d" % n, 4) for n in range(6)], [0, 2, 0, 2, 1, 3])
        self.assertEqual(owner_of("Ünïcode".encode(), 1000), 804)

    def test_everybody_gets_some(self) -> None:
        for workers in (1, 2, 3, 7):
            owners = [owner_of(b"%d" % number, workers) for number in range(1000)]
            self.assertEqual(set(owners), set(range(workers)))
            for worker in range(workers):
                self.assertGreater(owners.count(worker), 1000 / workers * 0.8)


class MeetingTests(HoldTestCase):
    """Two workers, and a client at each, or both at one."""

    def told(self, one: HalfWire, other: HalfWire) -> bytes:
        """The 101 of one, when each of them has come from where it is."""
        addresses = [f"127.0.0.1:{self.own_port(each)}" for each in (one, other)]
        return switching_protocols(addresses[0], f"{ADDRESSES}, {addresses[1]}")

    def own_port(self, wire: HalfWire) -> int:
        """From where it has come."""
        transport: Any = wire.transport
        host: IPv4Address = transport.getHost()
        return host.port

    async def relay(self, token: bytes, dialer: HalfWire, acceptor: HalfWire) -> None:
        """Both have got the right 101; what they say then goes through, and the end of each."""
        await acceptor.until(b"\r\n\r\n")
        acceptor.write(hello_line(token))
        dialed = self.told(dialer, acceptor) + hello_line(token)
        self.assertEqual(await dialer.until(hello_line(token)), dialed)
        dialer.write(confirm_line(token) + b"question")
        dialer.transport.loseWriteConnection()  # type: ignore[union-attr]
        accepted = self.told(acceptor, dialer) + confirm_line(token) + b"question"
        self.assertEqual(await acceptor.ended(), accepted)
        acceptor.write(b"answer")
        acceptor.transport.loseWriteConnection()  # type: ignore[union-attr]
        self.assertEqual(await dialer.ended(), dialed + b"answer")

    async def test_whoever_accepts(self) -> None:
        """Either owner, and either worker for each of the two."""
        await turn()  # the reactor has opened what it needs
        before = open_descriptors()
        for owner in (0, 1):
            for first in (0, 1):
                for second in (0, 1):
                    token = token_of(owner)
                    acceptor = await self.ask(first, b"ACCEPT", token)
                    dialer = await self.ask(second, b"DIAL", token)
                    await self.relay(token, dialer, acceptor)
        await self.hang_up()
        for rendezvous in self.rendezvous:
            self.assertEqual(rendezvous.outcomes, {Outcome.RELAYED: 4})
        self.assertEqual(open_descriptors(), before)

    async def test_nothing_stays_at_the_first(self) -> None:
        """The reactor has one transport of each client, and it is the owner's."""
        self.addCleanup(monotonic(REACTOR).callLater(60, lambda: None).cancel)  # and its alarm
        await turn()
        before = open_descriptors(), len(REACTOR.getReaders())
        wire = await self.ask(0, b"ACCEPT", token_of(1))
        await until(lambda: self.rendezvous[1].waiting)
        self.assertEqual(
            (open_descriptors(), len(REACTOR.getReaders())), (before[0] + 2, before[1] + 2)
        )
        self.assertEqual(self.rendezvous[0].waiting, 0)
        self.assertEqual((wire.data, wire.reason), (b"", None))

    async def test_how_far_it_is(self) -> None:
        """The owner knows: it is the same connection to the kernel."""
        self.patch(release, "SHORTEST_HOLD", 0.0)
        token = token_of(1)
        await self.ask(0, b"ACCEPT", token)
        dialer = await self.ask(0, b"DIAL", token)
        await dialer.until(b"HTTP/1.1 101 ")
        self.assertEqual([hold is not None for hold in self.holds], [True])

    async def test_leaves_on_the_way(self) -> None:
        """A client that is gone before the owner has taken it out is not matched."""
        self.inboxes[1].stop()
        token = token_of(1)
        gone = await self.ask(0, b"ACCEPT", token)
        await until(lambda: self.has_mail(1))
        gone.transport.abortConnection()  # type: ignore[union-attr]
        await gone.lost()
        self.inboxes[1].start()
        await until(lambda: not self.has_mail(1))
        acceptor, dialer = [await self.ask(1, method, token) for method in (b"ACCEPT", b"DIAL")]
        await self.relay(token, dialer, acceptor)
        self.assertEqual(self.rendezvous[1].outcomes[Outcome.RELAYED], 1)

    def has_mail(self, worker: int) -> bool:
        """Whether something is in its inbox."""
        try:
            return bool(self.mailboxes[worker][0].recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    async def test_early_bytes_at_once(self) -> None:
        """Behind the request: it takes no owner to refuse them."""
        self.inboxes[1].stop()
        wire = await self.ask(0, b"DIAL", token_of(1), more=b"x")
        self.assertEqual(await wire.ended(), EARLY)
        self.assertFalse(self.has_mail(1))

    async def test_early_bytes_on_the_way(self) -> None:
        """They are in the kernel, and reach the owner."""
        self.inboxes[1].stop()
        wire = await self.ask(0, b"DIAL", token_of(1))
        await until(lambda: self.has_mail(1))
        wire.write(b"x")
        await turn()
        self.inboxes[1].start()
        self.assertEqual(await wire.ended(), EARLY)

    async def test_behind_another_request(self) -> None:
        """The answer to that one is not lost, and comes first."""
        nonsense = request(b"GET", path=b"/elsewhere")
        token = token_of(1)
        wire = await self.come(self.ports[0], nonsense + request(b"ACCEPT", rdv_token=token))
        dialer = await self.ask(1, b"DIAL", token)
        await dialer.until(b"HTTP/1.1 101 ")
        data = await wire.until(b"HTTP/1.1 101 ")
        self.assertTrue(data.startswith(b"HTTP/1.1 400 "), data)

    async def test_closing_owner(self) -> None:
        """Clients that come to it nevertheless get 503."""
        wire = await self.ask(0, b"DIAL", token_of(1))
        await until(lambda: self.rendezvous[1].waiting)
        self.rendezvous[1].close(drain=5.0)
        shutdown = refusal(503, "shutting down, try again")
        self.assertEqual(await wire.ended(), shutdown)
        late = await self.ask(0, b"DIAL", token_of(1))
        self.assertEqual(await late.ended(), shutdown)

    async def test_closing(self) -> None:
        """It passes nobody on."""
        self.inboxes[1].stop()
        self.rendezvous[0].close(drain=5.0)
        wire = await self.ask(0, b"DIAL", token_of(1))
        await wire.until(b"503")
        self.assertFalse(self.has_mail(1))

    async def test_refuse_waiting(self) -> None:
        """Those for whom there was no room in the owner's inbox."""
        self.inboxes[1].stop()
        token = token_of(1)
        while not len(self.outboxes[1]):
            client, server = tcp_pair()
            self.addCleanup(client.close)
            self.outboxes[1].send(PassedClient(Role.DIALER, token, "", ""), server)
        wire = await self.ask(0, b"DIAL", token)
        await until(lambda: len(self.outboxes[1]) == 2)
        self.assignments[0].refuse_waiting()
        self.assertEqual(await wire.ended(), refusal(503, "shutting down, try again"))

    def test_arrives_reset(self) -> None:
        """Nothing is left of it, and it counts as nothing."""
        client, server = tcp_pair()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        self.assignments[1].arrived(PassedClient(Role.DIALER, token_of(1), "", ""), server)
        self.assertEqual(server.fileno(), -1)
        self.assertEqual(self.rendezvous[1].waiting, 0)
        self.assertEqual(self.rendezvous[1].statistics.refusals, {})

    def test_arrives_without_descriptors(self) -> None:
        """One that no transport can be made for is told so."""

        def adopt(*arguments: object) -> None:
            raise OSError(24, "Too many open files")

        client, server = tcp_pair()
        self.patch(REACTOR, "adoptStreamConnection", adopt)
        self.assignments[1].arrived(PassedClient(Role.DIALER, token_of(1), "", ""), server)
        with client:
            self.assertEqual(client.recv(4096), refusal(*BUSY))
            counted = [dict(each.statistics.refusals) for each in self.rendezvous]
            self.assertIn({(503, "worker_busy"): 1}, counted)
        self.assertEqual(server.fileno(), -1)

    async def test_room(self) -> None:
        """Whose connection is passed on takes up none here; the owner may have none."""
        for rendezvous in self.rendezvous:
            self.patch(rendezvous, "has_room", lambda leg, transport: False)
        for owner, answer in ((0, b"no room for more clients"), (1, refusal(*BUSY))):
            wire = await self.ask(0, b"DIAL", token_of(owner))
            self.assertIn(answer, await wire.ended())

    async def test_behind_a_proxy(self) -> None:
        """The connection itself is passed on, and the address from the header with it."""
        port, token = self.listen(proxied(self.sites[0])), token_of(1)
        acceptor = await self.come(port, request(b"ACCEPT", rdv_token=token), PROXY_HEADER)
        dialer = await self.ask(1, b"DIAL", token)
        peer = b"Rdv-Peer-Addrs: %s, 192.0.2.7:7777\r\n" % ADDRESSES.encode()
        self.assertIn(peer, await dialer.until(b"\r\n\r\n"))
        await acceptor.until(b"Rdv-Observed-Addr: 192.0.2.7:7777\r\n")
        self.assertEqual(len(self.assignments[0].bridges), 0)
