"""A site in memory with a rendezvous in it, and clients that speak HTTP to it."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from rdv.server import ObservedAddress, Rendezvous, RendezvousResource
from rdv.test.doubles import CLIENT, HalfCloseRecorder, connect, present

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
    """Something that speaks HTTP, as the test wants."""

    def answer(self) -> Answer:
        """The one answer it has got; it forgets it."""
        answer = Answer(self.received)
        assert not answer.rest, answer.rest
        self.pieces.clear()
        return answer


class WebTestCase(SynchronousTestCase):
    """A site with a rendezvous at ``/rdv``."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.rendezvous = Rendezvous(self.clock)
        self.mount(RendezvousResource(self.rendezvous))

    def mount(self, resource: Resource) -> None:
        """Put it at ``/rdv`` of a new site."""
        root = Resource()
        root.putChild(b"rdv", resource)
        self.site = Site(root, reactor=self.clock)
        self.factory: IProtocolFactory = self.site

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
