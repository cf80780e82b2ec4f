"""
The shortcut of a standalone server has the same results as HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from rdv.server import Rendezvous
from rdv.server.access.making import ServerDoor
from rdv.server.refusals import FULL
from rdv.server.site.parts import make_site
from rdv.server.site.slim import SlimChannel
from rdv.settings import ServerSettings
from rdv.test.doubles import CLIENT, connect, present
from rdv.test.server.descriptors import test_budget
from rdv.test.server.doubles import Browser, WebTestCase, request
from rdv.test.server.site import test_site
from rdv.test.server.site.test_head import OTHER, PLAIN
from rdv.wire import refusal

IP6 = IPv6Address("TCP", "::ffff:192.0.2.1", 4000)
#: What heads are modified with.
PIECES = st.sampled_from(
    [
        *(
            b"\r\n",
            b"\r",
            b"\n",
            b" ",
            b"\t",
            b":",
            b"",
            b"\x00",
            b"\xff",
            b",",
            b"x",
            b"/",
            b"%41",
        ),
        *(b"Expect: 100-continue\r\n", b"Cookie: a=b\r\n", b"Content-Length: 0\r\n"),
        *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
        *(b"Host: b\r\n", b"Rdv-Token: \r\n", b"Rdv-Self-Addrs: 1.2.3.4:5\r\n", b"upgrade"),
        *(b"rdv/1", b"websocket", b"[::1]:1", b"\r\n\r\n", b"HTTP/1.0", b"GET", b"ACCEPT"),
    ]
)
CHANGES = st.lists(st.tuples(st.integers(0, 250), st.integers(0, 12), PIECES), max_size=4)
#: How many bytes come by themselves, and for how many seconds nothing does.
BEFORE = st.lists(
    st.integers(1, 250) | st.sampled_from([0.0, 0.5, 4.0, 9.5, 20.0, 61.0]), max_size=3
)


def changed(data: bytes, changes: Sequence[tuple[int, int, bytes]]) -> bytes:
    """A head with other bytes in some places."""
    for begin, size, piece in changes:
        data = data[:begin] + piece + data[begin + size :]
    return data


def in_pieces(data: bytes, before: Sequence[int | float]) -> tuple[bytes, list[bytes | float]]:
    """What is sent last, and the steps before that: see :data:`BEFORE`."""
    steps: list[bytes | float] = []
    for step in before:
        if isinstance(step, int):
            steps.append(data[:step])
            data = data[step:]
        else:
            steps.append(step)
    return data, steps


class World:
    """
    A server with or without the shortcut, and the experience of one client.

    :ivar factory: what listens.
    """

    clock: Clock
    factory: IProtocolFactory
    rendezvous: Rendezvous

    def outcome(
        self, data: bytes, address: Any = CLIENT, before: Sequence[bytes | float] = ()
    ) -> tuple[object, ...]:
        """
        What comes of sending that, and then ending.

        :param before: what is sent before, each by itself, and for how many seconds nothing is.
        """
        browser = Browser()
        at_server, at_client = connect(
            self.clock, present(self.factory.buildProtocol(address)), browser, address
        )
        for step in (*before, data):
            if isinstance(step, bytes) and at_client.connected and not at_client.disconnecting:
                at_client.write(step)
            self.clock.advance(0 if isinstance(step, bytes) else step)
        waiting = [
            (leg.role, leg.token, leg.addresses, leg.observed) for leg in self.rendezvous._lobby
        ]
        answer = re.sub(rb"\r\nDate: [^\r]*", b"", browser.received)
        lost = browser.lost and browser.lost.type
        open_before = at_server.connected, browser.read_ended, lost
        at_client.loseWriteConnection()
        self.clock.advance(0)
        self.clock.advance(100)
        left = self.rendezvous.waiting, len(self.clock.getDelayedCalls())
        return answer, waiting, open_before, at_server.connected, left


class OwnWorld(World):
    """
    A standalone server.

    :ivar site: its site, which listens.
    """

    def __init__(self, short: bool, path: str = "/rdv", deny: Sequence[str] = ()) -> None:
        self.clock = Clock()
        self.rendezvous = Rendezvous(self.clock)
        settings = ServerSettings(path=path, deny=deny)
        door = ServerDoor(None, settings)
        self.factory = self.site = make_site(self.clock, settings, self.rendezvous, door)
        if not short:
            self.site._slim = None


class LikenessTests(WebTestCase):
    """With it and without it."""

    def assert_alike(
        self,
        data: bytes,
        before: Sequence[bytes | float] = (),
        address: Any = CLIENT,
        path: str = "/rdv",
    ) -> None:
        """For one who sends that."""
        short, long = [
            OwnWorld(short, path).outcome(data, address, before) for short in (True, False)
        ]
        self.assertEqual(short, long)

    def test_heads(self) -> None:
        """Those that are plain, and those that are not."""
        for data in (*PLAIN, *OTHER):
            for path in ("/rdv", "/", "/some/where.else~1_2-3"):
                self.assert_alike(data, path=path)

    def test_shutting_down(self) -> None:
        """Then even a good one is refused by HTTP."""
        short, long = [OwnWorld(short) for short in (True, False)]
        for world in (short, long):
            world.outcome(request())
            world.rendezvous.close()
        self.assertEqual(short.outcome(request()), long.outcome(request()))

    def test_counted(self) -> None:
        """The head is all that has come so far, and the kernel's count tells when there is more."""
        world, heard = OwnWorld(short=True), list[int]()
        world.rendezvous.newcomers.append(lambda leg: heard.append(leg.heard))
        world.outcome(request())
        self.assertEqual(heard, [len(request())])

    def test_port_0(self) -> None:
        """Nobody is told of it; but who it is does not depend on that."""
        nowhere = IPv4Address("TCP", CLIENT.host, 0)
        for short in (True, False):
            told: Any = OwnWorld(short).outcome(request(), nowhere)[1]
            self.assertEqual([observed for *_, observed in told], [""])
            answer, waiting, *_ = OwnWorld(short, deny=[CLIENT.host]).outcome(request(), nowhere)
            self.assertIn(b" 403 ", answer)
            self.assertEqual(waiting, [])

    def test_addresses(self) -> None:
        """The client's own as the server sees it, and what it says of itself."""
        own = b"[2001:DB8::7]:080,, 1.2.3.4:5,[::ffff:1.2.3.4]:6"
        nowhere = IPv4Address("TCP", CLIENT.host, 0)
        for address in (CLIENT, IP6, IPv6Address("TCP", "2001:db8::9", 5), nowhere):
            self.assert_alike(request(rdv_self_addrs=own), address=address)

    @settings(max_examples=300)
    @given(CHANGES, st.sampled_from(PLAIN), BEFORE)
    @example([(4, 1, b"/\r\n")], request(), [])
    def test_changed(
        self, changes: list[tuple[int, int, bytes]], data: bytes, before: list[int | float]
    ) -> None:
        """Whatever is done to a good head, in pieces or whole, at once or later."""
        self.assert_alike(*in_pieces(changed(data, changes), before))


class ShortWayTests(WebTestCase):
    """Which requests take it, and which do not."""

    def setUp(self) -> None:
        super().setUp()
        self.world = OwnWorld(short=True)
        self.clock, self.rendezvous = self.world.clock, self.world.rendezvous
        self.site = self.factory = self.world.site
        self.widened = 0
        slim = present(self.world.site._slim)
        widen = slim.widen

        def count(channel: Any, expired: bool) -> Any:
            self.widened += 1
            return widen(channel, expired)

        slim.widen = count

    def test_plain(self) -> None:
        """A head in one piece; and nothing is left of the channel."""
        self.assert_waiting(self.browse(request()))
        self.browse(request(b"ACCEPT"))
        self.assertEqual((self.widened, self.rendezvous.pairs), (0, 1))

    def test_in_pieces(self) -> None:
        browser = self.browse(request()[:50])
        self.send(browser, request()[50:])
        self.assert_waiting(browser)
        self.assertEqual(self.widened, 1)

    def test_full(self) -> None:
        """It is told, counted and closed, without a channel."""
        self.patch(self.rendezvous, "has_room", lambda leg, transport: False)
        browser = self.browse(request())
        self.assertEqual(browser.received, refusal(*FULL))
        self.assertFalse(self.at_server.connected)
        self.assertEqual(dict(self.rendezvous.statistics.refusals), {(503, "full"): 1})
        self.assertEqual((self.widened, self.clock.getDelayedCalls()), (0, []))

    def test_makes_room(self) -> None:
        """Not by dropping the one that asks."""
        dropped: list[int] = []

        def make_room(leg: object, transport: object) -> bool:
            slim = present(self.world.site._slim)
            dropped.append(sum(channel.drop() for channel in list(slim.waiting)))
            return True

        self.patch(self.rendezvous, "has_room", make_room)
        others = [self.browse() for _ in range(2)]
        browser = self.browse(request())
        self.assert_waiting(browser)
        self.assertEqual(dropped, [2])
        self.assertEqual([each.received for each in others], [refusal(*FULL)] * 2)

    def test_failure(self) -> None:
        """Leaves nobody waiting who is not there."""

        def fail(leg: object) -> None:
            raise ZeroDivisionError

        self.patch(self.rendezvous, "enter", fail)
        browser = self.browse()
        self.send(browser, request())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(present(self.world.site._slim).waiting), 0)

    def test_unix(self) -> None:
        """Has no address."""
        self.assertNotIsInstance(self.site.buildProtocol(UNIXAddress("/x")), SlimChannel)
        self.assertNotIsInstance(self.site.buildProtocol(None), SlimChannel)

    def test_behind_a_proxy(self) -> None:
        """The headers that it sets are for the resource to read."""
        settings = ServerSettings(observed_header="X-Forwarded-For")
        self.site = self.factory = make_site(self.clock, settings, self.rendezvous)
        self.assertNotIsInstance(self.site.buildProtocol(CLIENT), SlimChannel)

    def test_gone_before(self) -> None:
        """Without a word."""
        self.browse()
        self.at_client.loseConnection()
        self.clock.advance(0)
        self.assertFalse(self.at_server.connected)
        self.assertEqual((self.widened, self.clock.getDelayedCalls()), (0, []))

    def test_too_late(self) -> None:
        """In the words of the other one."""
        browser = self.browse()
        with capturedLogs() as events:
            self.clock.advance(9)
            self.assertTrue(self.at_server.connected)
            self.clock.advance(1)
        self.assertEqual(len(events), 1)
        self.assertIn("Timing out client", events[0]["log_format"])
        self.assertEqual((browser.read_ended, self.at_server.connected), (1, False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_time_that_is_left(self) -> None:
        """Counts from the beginning, and for the first request only."""
        browser = self.browse()
        self.clock.advance(6)
        self.send(browser, b"GET")
        self.clock.advance(3)
        self.assertTrue(self.at_server.connected)
        self.clock.advance(1)
        self.assertFalse(self.at_server.connected)
        browser = self.browse()
        self.clock.advance(6)
        self.send(browser, request(b"GET"))
        browser.answer()
        self.clock.advance(9)
        self.assertTrue(self.at_server.connected)
        self.clock.advance(1)
        self.assertFalse(self.at_server.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ShortWayRefusalTests(test_site.RefusalTests):
    """Answered as everywhere."""

    short_way = True


class ShortWaySlowTests(test_site.SlowTests):
    """Cut as everywhere."""

    short_way = True


class ShortWayOrdinaryTests(test_site.OrdinaryTests):
    """Answered as everywhere."""

    short_way = True


class ShortWayTLSTests(test_site.TLSTests):
    """Twisted's TLS is above the connection."""

    short_way = True


class ShortWayNoRoomTests(test_budget.RefusalTests):
    """Refused as everywhere."""

    def setUp(self) -> None:
        super().setUp()
        world = OwnWorld(short=True)
        self.clock, self.rendezvous = world.clock, world.rendezvous
        self.site = self.factory = world.site
