"""
Clients of a rendezvous in memory: some whose requests have already been read, and some that speak
HTTP to its site.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from rdv.server import ObservedAddress, Outcome, Rendezvous, RendezvousResource
from rdv.server.leg import Leg
from rdv.test.asyncio_loop import without_asyncio
from rdv.test.doubles import CLIENT, HalfCloseRecorder, connect, present
from rdv.wire import Offer, Role, confirm_line, hello_line, refusal

HELLO, CONFIRM = hello_line(b"token"), confirm_line(b"token")


class Guest(HalfCloseRecorder):
    """
    A client in memory.

    :ivar leg: how the server sees it.
    :ivar at_server: the server's end of its connection.
    :ivar here: its own end.
    """

    def __init__(self, clock: Clock, leg: Leg) -> None:
        super().__init__()
        self.leg = leg
        self.at_server, self.here = connect(clock, leg, self)

    @property
    def status(self) -> int | None:
        """The status of the answer, if there is one."""
        return int(self.received.split(b" ", 2)[1]) if self.received else None

    def take(self) -> bytes:
        """What has come since the last time."""
        received = self.received
        self.pieces.clear()
        return received


class ServerTestCase(SynchronousTestCase):
    """A rendezvous and its clients."""

    def setUp(self) -> None:
        without_asyncio(self)
        self.clock = Clock()
        self.open()

    def open(self, **options: Any) -> None:
        """Begin anew, with these options."""
        self.rendezvous = Rendezvous(self.clock, **options)

    def come(
        self,
        role: Role,
        token: bytes = b"token",
        addresses: str = "",
        observed: str = "",
        early: bytes = b"",
    ) -> Guest:
        """Let a client come, and everything settle."""
        leg = Leg(Offer(role, token, addresses), observed, self.rendezvous)
        guest = Guest(self.clock, leg)
        self.rendezvous.enter(guest.leg, early)
        self.settle()
        return guest

    def dial(self, token: bytes = b"token", **said: Any) -> Guest:
        """Let a dialer come."""
        return self.come(Role.DIALER, token, **said)

    def accept(self, token: bytes = b"token", **said: Any) -> Guest:
        """Let an acceptor come."""
        return self.come(Role.ACCEPTOR, token, **said)

    def pair(self) -> tuple[Guest, Guest]:
        """A dialer and an acceptor who have got their 101."""
        dialer, acceptor = self.dial(), self.accept()
        self.assertEqual((dialer.status, acceptor.status), (101, 101))
        dialer.take()
        acceptor.take()
        return dialer, acceptor

    def relayed_pair(self) -> tuple[Guest, Guest]:
        """The same, after both lines."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        dialer.here.write(CONFIRM)
        self.settle()
        self.assertEqual((dialer.take(), acceptor.take()), (HELLO, CONFIRM))
        return dialer, acceptor

    def settle(self) -> None:
        """Let everything arrive that is under way."""
        self.clock.advance(0)

    def close_all(self, *guests: Guest) -> None:
        """Let clients close."""
        for guest in guests:
            guest.here.loseConnection()
        self.settle()

    def assert_refused(self, guest: Guest, status: int, reason: str) -> None:
        """
        The client has got that answer in one write, and then the end of the server's direction. The
        server does not close before the client does, lest the answer be lost.
        """
        self.assertEqual(guest.take(), refusal(status, reason))
        self.assertEqual(guest.at_server.writes, [refusal(status, reason)])
        self.assertEqual((guest.read_ended, guest.lost), (1, None))
        self.assertTrue(guest.at_server.connected)

    def assert_waiting(self, *guests: Guest) -> None:
        """These wait, and nobody else does."""
        self.assertEqual(self.rendezvous.waiting, len(guests))
        for guest in guests:
            self.assertEqual((guest.received, guest.read_ended, guest.lost), (b"", 0, None))

    def assert_over(self, **outcomes: int) -> None:
        """Nobody is left, no timer runs, and so the pairs ended."""
        self.assertEqual((self.rendezvous.waiting, self.rendezvous.pairs), (0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        wanted = {Outcome[name.upper()]: count for name, count in outcomes.items()}
        self.assertEqual(dict(self.rendezvous.outcomes), wanted)


HEADERS = {
    b"Host": b"example.com:8080",
    b"Connection": b"upgrade",
    b"Upgrade": b"rdv/1",
    b"Rdv-Token": b"token",
    b"Rdv-Self-Addrs": b"192.168.1.16:39841, [2001:db8::7]:39841",
}


def request(
    method: bytes = b"DIAL",
    version: bytes = b"HTTP/1.1",
    path: bytes = b"/rdv",
    more: bytes = b"",
    **changes: bytes | None,
) -> bytes:
    """
    A request, good but for what is named.

    :param more: further header lines.
    :param changes: other values for headers, None to leave one out.
    """
    headers: dict[bytes, bytes | None] = dict(HEADERS)
    for name, value in changes.items():
        headers[name.replace("_", "-").title().encode()] = value
    lines = [b"%s: %s\r\n" % (n, v) for n, v in headers.items() if v is not None]
    return b"%s %s %s\r\n%s%s\r\n" % (method, path, version, b"".join(lines), more)


class Answer:
    """One HTTP response, taken apart."""

    def __init__(self, data: bytes) -> None:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(self.headers["content-length"])
        self.body, self.rest = rest[:length].decode(), rest[length:]


class Browser(HalfCloseRecorder):
    """An HTTP client that the test controls."""

    def answer(self) -> Answer:
        """The one answer it has got; it forgets it."""
        answer = Answer(self.received)
        assert not answer.rest, answer.rest
        self.pieces.clear()
        return answer


class WebTestCase(SynchronousTestCase):
    """A site with a rendezvous at ``/rdv``."""

    def setUp(self) -> None:
        without_asyncio(self)
        self.clock = Clock()
        self.rendezvous = Rendezvous(self.clock)
        self.mount(RendezvousResource(self.rendezvous))

    def mount(self, resource: Resource) -> None:
        """Put it at ``/rdv`` of a new site."""
        root = Resource()
        root.putChild(b"rdv", resource)
        self.site = Site(root, reactor=self.clock)
        self.factory: IProtocolFactory = self.listener()

    def listener(self) -> IProtocolFactory:
        """What listens: the site, or what leads to it."""
        return self.site

    def observing(self, observed_address: ObservedAddress) -> None:
        """Mount one that finds addresses in that way."""
        self.mount(RendezvousResource(self.rendezvous, observed_address))

    def browse(self, data: bytes = b"", address: IPv4Address = CLIENT, piece: int = 0) -> Browser:
        """Connect and send that, in pieces of that many bytes or in one."""
        browser = Browser()
        protocol = present(self.factory.buildProtocol(address))
        self.at_server, self.at_client = connect(self.clock, protocol, browser, address)
        self.send(browser, data, piece)
        return browser

    def send(self, browser: Browser, data: bytes, piece: int = 0) -> None:
        """Send more."""
        piece = piece or len(data) or 1
        for start in range(0, len(data), piece):
            present(browser.transport).write(data[start : start + piece])
        self.clock.advance(0)

    def assert_waiting(self, browser: Browser) -> None:
        """It is in the lobby, and nobody else; it has got no answer."""
        self.assertEqual(self.rendezvous.waiting, 1)
        self.assertEqual((browser.received, browser.read_ended, browser.lost), (b"", 0, None))
