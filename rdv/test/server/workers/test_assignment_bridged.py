"""
Clients whose connections cannot be passed on, such as those with TLS, meet nevertheless.
"""

from __future__ import annotations

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOFactory

from rdv.server.meeting import release
from rdv.server.refusals import BUSY
from rdv.server.workers import bridge
from rdv.test.certificates import Authority
from rdv.test.doubles import HalfWire
from rdv.test.server.doubles import request
from rdv.test.server.workers.doubles import HoldTestCase, token_of
from rdv.test.sockets import REACTOR, until
from rdv.wire import confirm_line, hello_line, refusal


class BridgedTests(HoldTestCase):
    """A client with TLS at the wrong worker."""

    def setUp(self) -> None:
        super().setUp()
        authority = Authority()
        context = authority.server_context("127.0.0.1")
        self.trust = optionsForClientTLS("127.0.0.1", Certificate.loadPEM(authority.pem))
        self.secure = [
            self.listen(TLSMemoryBIOFactory(context, False, site)) for site in self.sites
        ]

    async def ask_secretly(self, worker: int, method: bytes, token: bytes) -> HalfWire:
        """A client, by TLS."""
        wire = HalfWire()
        endpoint = TCP4ClientEndpoint(REACTOR, "127.0.0.1", self.secure[worker])
        await connectProtocol(wrapClientTLS(self.trust, endpoint), wire)
        self.wires.append(wire)
        wire.write(request(method, rdv_token=token))
        return wire

    async def test_meets(self) -> None:
        """It meets one that speaks no TLS, and each gets what the other one has to say."""
        token = token_of(1)
        acceptor = await self.ask_secretly(0, b"ACCEPT", token)
        dialer = await self.ask(1, b"DIAL", token)
        await acceptor.until(b"\r\n\r\n")
        acceptor.write(hello_line(token))
        port = acceptor.transport.getHost().port  # type: ignore[union-attr]
        self.assertIn(b", 127.0.0.1:%d\r\n" % port, await dialer.until(hello_line(token)))
        self.assertEqual(len(self.assignments[0].bridges), 1)
        dialer.write(confirm_line(token) + b"question")
        await acceptor.until(b"question")
        acceptor.write(b"answer")
        await dialer.until(b"answer")
        self.assertEqual(self.rendezvous[1].pairs, 1)

    async def test_own_token(self) -> None:
        """Nothing goes over loopback that need not."""
        token = token_of(0)
        wires = [await self.ask_secretly(0, method, token) for method in (b"ACCEPT", b"DIAL")]
        for wire in wires:
            await wire.until(b"HTTP/1.1 101 ")
        self.assertEqual(len(self.assignments[0].bridges), 0)

    async def test_told_at_once(self) -> None:
        """How far a client is cannot be seen through a bridge."""
        self.patch(release, "SHORTEST_HOLD", 0.0)
        token = token_of(1)
        await self.ask_secretly(0, b"ACCEPT", token)
        dialer = await self.ask_secretly(0, b"DIAL", token)
        await dialer.until(b"HTTP/1.1 101 ")
        self.assertEqual(self.holds, [None])

    async def test_refused_by_the_owner(self) -> None:
        token = token_of(1)
        first = await self.ask_secretly(0, b"ACCEPT", token)
        await until(lambda: self.rendezvous[1].waiting)
        await self.ask_secretly(0, b"ACCEPT", token)
        self.assertEqual(await first.lost(), refusal(409, "replaced by another conn"))

    async def test_leaves_while_it_waits(self) -> None:
        wire = await self.ask_secretly(0, b"ACCEPT", token_of(1))
        await until(lambda: self.rendezvous[1].waiting)
        wire.close()
        await until(lambda: not (self.rendezvous[1].waiting or len(self.assignments[0].bridges)))

    async def test_no_bridge(self) -> None:
        """It is told that there is no room."""

        def no_pair() -> None:
            raise OSError(24, "Too many open files")

        self.patch(bridge, "loopback_pair", no_pair)
        wire = await self.ask_secretly(0, b"ACCEPT", token_of(1))
        self.assertEqual(await wire.lost(), refusal(*BUSY))

    async def test_abort(self) -> None:
        """What is not a rendezvous' own is cut, too."""
        wire = await self.ask_secretly(0, b"ACCEPT", token_of(1))
        await until(lambda: self.rendezvous[1].waiting)
        self.assignments[0].abort()
        await wire.lost()
        await until(lambda: not self.rendezvous[1].waiting)
