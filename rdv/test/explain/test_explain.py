"""The waterfall, its words, and its axis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.trace import Event, What
from rdv.explain import waterfall
from rdv.explain.facts import last_attempt
from rdv.explain.story import Mark, Scale, Span, story_of
from rdv.explain.words import duration
from rdv.test.explain.doubles import (
    DIRECT,
    MOVED,
    PEER,
    REFUSED,
    RELAYED,
    SERVER,
    STAYED,
    UNREACHABLE,
    Telling,
    at,
    direct,
    events_lists,
    moving,
    relayed,
)


def row_of(text: str, start: str) -> str:
    """The line that begins so."""
    return next(line for line in text.splitlines() if line.startswith(start))


RELAY = [e for e in RELAYED if e.fields.get("way", 1) == 1]
ONE = [e for e in RELAYED if e.fields.get("way") != 3]
UNDECIDED = [e for e in RELAYED if e.what not in (What.CHOSEN, What.CONNECTED)]
INBOUND = [
    at(0, What.WAY, way=1, kind="inbound", address="203.0.113.9:5"),
    at(3, What.CHOSEN, way=1),
    at(3, What.CONNECTED, path="p2p", peer="203.0.113.9:5", way=1),
]
BROKEN = [
    *ONE,
    at(600, What.STANDS, way=2, seconds=0.5, round_trip=0.1),
    at(1500, What.REFUSED, way=2, dial=1, reason="the connection was reset"),
]
#: The list lacks the way to which the stream has moved.
MOVED_ELSEWHERE = [e for e in MOVED if e.fields.get("way") not in (2, 3) or e.what is What.MOVED]
MOVED_TO_INBOUND = [
    *moving().events,
    at(400, What.CHOSEN, way=3, dials=0),
    at(400, What.MOVED, way=3, peer="203.0.113.77:555"),
]
STAYED_ALONE = [e for e in STAYED if e.fields.get("way") not in (2, 3)]
ASKED = REFUSED[:-2]
WHY = "cannot reach x: the proxy http://p:1 cannot be reached: connection refused"
PROXIED = [
    *UNREACHABLE[:-1],
    at(31, What.PROXIED, proxy="http://p:1"),
    at(31, What.FAILED, reason=WHY),
]
NOBODY = [*ASKED, at(5042, What.FAILED, reason="time is up: nobody")]
NO_PATH = [
    *UNDECIDED,
    at(30_100, What.LOST, way=1, reason="no HELLO came"),
    at(30_100, What.FAILED, reason="no path"),
]

#: Attempts, and how their summaries end.
SUMMARIES: tuple[tuple[list[Event], str], ...] = (
    ([], "The attempt has not finished."),
    (
        DIRECT,
        "A direct path won: 203.0.113.9:41000 answered dial 31 and was chosen 170 ms after the "
        "server named it.",
    ),
    (direct(dials=0), "203.0.113.9:41000 answered and was chosen 20 ms after the server named it."),
    (INBOUND, "A direct path won: the peer connected from 203.0.113.9:5."),
    (
        MOVED,
        "The stream began on the relay, and moved to a direct path after 1 s: 203.0.113.9:41000 "
        "answered dial 2.",
    ),
    (MOVED_TO_INBOUND, "after 240 ms: the peer connected from 203.0.113.77:555."),
    (MOVED_ELSEWHERE, "moved to a direct path after 1 s: to 203.0.113.9:41000."),
    (
        STAYED,
        "The stream began on the relay and stayed there: of 2 addresses 1 did not answer, 1 "
        "connected without a handshake (the stream is over).",
    ),
    (STAYED_ALONE, "stayed there: there was no address to dial (the stream is over)."),
    (moving().events, "The stream began on the relay. It may still move to a direct path."),
    (RELAYED, "The relay was taken: none of the 2 addresses answered within 2 s."),
    (relayed("acceptor"), "the dialer chose it; none of the 2 addresses answered."),
    (RELAY, "The relay was taken: there was no address to dial."),
    (
        [*RELAYED, at(111, What.REFUSED, way=2, reason="connection refused")],
        "of 2 addresses 1 refused, 1 did not answer within 2 s.",
    ),
    (BROKEN, "the one address connected and broke within 2 s."),
    ([*RELAYED, at(500, What.HURRIED, way=1)], "answered, so no better path was possible."),
    (REFUSED, "There is no connection: the server answered 409 Conflict."),
    (UNREACHABLE, "There is no connection: the server cannot be reached: connection refused."),
    (PROXIED, f"There is no connection: {WHY}."),
    (NOBODY, "There is no connection: no peer came with this token within 5 s."),
    ([*ASKED, at(5042, What.FAILED, reason="gone")], "within 5 s (gone)."),
    (
        [*ASKED, at(60, What.ANSWERED, status=101), at(60, What.FAILED, reason="no rdv/1")],
        "There is no connection: no rdv/1.",
    ),
    (
        NO_PATH,
        "There is no connection: the peer was there, but no path to it could be established: none "
        "of the 2 addresses answered; the relay: no HELLO came.",
    ),
    ([*DIRECT, at(140_000, What.SWITCHED)], " It later proved dead, and the relay replaced it."),
    (
        [*RELAYED, at(1, What.REJECTED, address="127.0.0.1:9")],
        " 1 connection came from addresses that are not allowed: 127.0.0.1:9.",
    ),
)


class WaterfallTests(SynchronousTestCase):
    """What a terminal shows."""

    def test_rows(self) -> None:
        """Thirty refusals are one row; a wait of two minutes is a few columns."""
        text = waterfall(DIRECT, 100)
        lobby = row_of(text, "lobby shortened")
        self.assertTrue(1 < lobby.count("·") < 10, lobby)
        self.assertIn("the peer came after 2 min 10 s", lobby)
        self.assertIn("+0 ms", text)
        winner = row_of(text, "203.0.113.9:41000 public4")
        self.assertRegex(winner, "✗✗✗✗.*★ chosen; dial 31 after 30 refusals;")
        self.assertRegex(row_of(text, "relay "), "━H╌+┘ a direct path was faster; HELLO$")
        self.assertRegex(row_of(text, "192.168.1.7:41000 private4"), "┤─+┘ no answer$")
        self.assertRegex(waterfall(UNREACHABLE), "\n\n┤ dial  ✗ refused\n$")
        self.assertRegex(waterfall(DIRECT, 46), r"\n +\+0 ms\n")
        self.assertNotIn("┘", waterfall(RELAYED[:12]))

    def test_moved(self) -> None:
        """What the stream goes through is seen: first the relay, then the path it moved to."""
        text = waterfall(MOVED, 100)
        heading = "connected through the relay after 160 ms, on a direct path after 1.2 s"
        self.assertEqual(story_of(MOVED).heading.partition("rdv: ")[2], heading)
        self.assertRegex(row_of(text, "relay "), "H★═{20,} chosen; left after 1 s;")
        winner = row_of(text, "203.0.113.9:41000 public4")
        self.assertRegex(winner, "┤─+✗ +┤C━━★ the stream moved here; dial 2$")
        self.assertRegex(row_of(text, "from 203.0.113.77:555"), "┿━+┘ no HELLO came$")
        self.assertIn("*####", row_of(waterfall(MOVED, unicode=False), "relay "))

    def test_moved_to_an_early_one(self) -> None:
        """Somebody who came before the server's answer has a lower number than the relay."""
        events = [
            at(0, What.WAY, way=0, kind="inbound", address=PEER),
            *moving().events,
            at(400, What.CHOSEN, way=0, dials=0),
            at(400, What.MOVED, way=0, peer=PEER),
        ]
        text = waterfall(events, 100)
        self.assertRegex(row_of(text, "relay "), "★═+ +chosen; left after 240 ms;")
        self.assertRegex(row_of(text, f"from {PEER} "), "★ the stream moved here$")

    def test_stayed(self) -> None:
        """It is the relay to the end, and how long each way was tried."""
        text = waterfall(STAYED, 100)
        self.assertRegex(text, "^Dialling through .*: connected through the relay after 160 ms\n")
        self.assertRegex(row_of(text, "relay "), "★═{20,} chosen; HELLO after")
        self.assertRegex(row_of(text, "203.0.113.9:41000 public4"), "┤─{20,}┘ no answer$")

    def test_goes_on(self) -> None:
        """What has not been decided yet has an end nowhere."""
        told = story_of(moving().events)
        self.assertEqual([row.outcome for row in told.rows[2:4]], ["not finished"] * 2)
        self.assertRegex(told.heading, "connected through the relay after 160 ms$")

    def test_cannot_move(self) -> None:
        """A stream that cannot move has no part of its own on the axis."""
        spans = {bar.span for row in story_of(RELAYED).rows for bar in row.bars}
        self.assertNotIn(Span.STREAM, spans)
        self.assertIn("\x1b[32mrelay ", waterfall(RELAYED, colour=True))

    def test_where_it_is(self) -> None:
        """Green is the way that the stream goes now."""
        text = waterfall(MOVED, 100, colour=True)
        self.assertIn("\x1b[32m203.0.113.9:41000 ", text)
        self.assertNotIn("\x1b[32mrelay ", text)
        self.assertIn("\x1b[32mrelay ", waterfall(STAYED, 100, colour=True))

    def test_lobby_alone(self) -> None:
        """Without anything behind it, it is not shortened."""
        text = waterfall(NOBODY)
        self.assertNotIn("shortened", text)
        self.assertRegex(row_of(text, "lobby"), "·{20,}")

    def test_proxy(self) -> None:
        """It is what is dialled in the server's place."""
        self.assertIn("✗ connection refused", row_of(waterfall(PROXIED), "proxy 192.0.2.80:443 "))

    def test_ascii(self) -> None:
        text = waterfall(DIRECT, unicode=False)
        self.assertTrue(text.isascii())
        self.assertIn("x", row_of(text, "203.0.113.9:41000"))
        self.assertRegex(text, r"\* chosen$")

    def test_colour(self) -> None:
        """Only when it is asked for."""
        self.assertNotIn("\x1b", waterfall(DIRECT))
        plain = waterfall(DIRECT, colour=True).replace("\x1b[32m", "").replace("\x1b[0m", "")
        self.assertIn("\x1b[1mDialling", plain)

    def test_no_escapes_from_outside(self) -> None:
        """A server's words do nothing to a terminal."""
        events = [
            at(1, What.ANSWERED, status=500, phrase="\x1b[2Jgone\n\x07"),
            at(1, What.FAILED, reason="\x1b[2J"),
        ]
        text = waterfall(events)
        self.assertTrue(all(char == "\n" or char.isprintable() for char in text))
        self.assertIn("500 ?[2Jgone??", text)

    def test_last_attempt(self) -> None:
        """Of several the last is told, and how many there were."""
        events = [*REFUSED, *(Event(e.time + 9, 2, e.what, e.fields) for e in RELAYED)]
        told = story_of(events)
        self.assertIn("(the last of 2 attempts)", told.heading)
        self.assertEqual({event.attempt for event in told.events}, {2})
        self.assertEqual(len(last_attempt(events)), len(RELAYED))

    def test_attempts_side_by_side(self) -> None:
        """At two servers: the one that came to a connection is told, or the one begun last."""
        other = [Event(event.time, 2, event.what, event.fields) for event in REFUSED]
        first, rest = RELAYED[0], RELAYED[1:]
        self.assertEqual(last_attempt([first, *other, *rest]), list(RELAYED))
        self.assertEqual(last_attempt([first, *other]), other)

    def test_clock_set_back(self) -> None:
        """By an hour, between two events of one moment: it looks as if it had not been."""
        number = [event.what for event in DIRECT].index(What.MET)
        back = [replace(event, time=event.time - 3600) for event in DIRECT[number:]]
        self.assertEqual(waterfall([*DIRECT[:number], *back]), waterfall(DIRECT))

    def test_long_address(self) -> None:
        """A label that is too long loses its middle."""
        tell = Telling()
        tell.way(0, 1, "dial", "[2001:db8:1111:2222:3333:4444:5555:6666]:40000")
        self.assertIn("[2001:db8:11..6666]:40000 ", waterfall(tell.events, 80))

    @given(events_lists(), st.integers(-5, 300), st.booleans(), st.booleans())
    def test_anything(self, events: list[Event], width: int, unicode: bool, colour: bool) -> None:
        """Any sequence of events renders, within the width."""
        text = waterfall(events, width, unicode=unicode, colour=colour)
        for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m"):
            text = text.replace(code, "") if colour else text
        self.assertNotIn("\x1b", text)
        longest = max(map(len, text.splitlines()))
        self.assertLessEqual(longest, min(max(width, 40), 160))


class SummaryTests(SynchronousTestCase):
    """The reason for the result, in a sentence."""

    def test_summaries(self) -> None:
        for events, text in SUMMARIES:
            summary = story_of(events).summary
            self.assertTrue(summary.endswith(text), summary)

    def test_broken(self) -> None:
        """A connection that did not last is drawn all the same."""
        told = story_of(BROKEN)
        row = next(row for row in told.rows if row.label == "203.0.113.9:41000")
        self.assertEqual([bar.span for bar in row.bars], [Span.CONNECT, Span.HANDSHAKE])
        self.assertEqual(
            [mark for _, mark in row.marks], [Mark.DIAL, Mark.REFUSED, Mark.STANDS, Mark.LOST]
        )

    def test_strangers(self) -> None:
        """Whoever scans a port does not fill the screen; the peer is not lost among them."""
        tell = Telling()
        tell.begin()
        for number in range(2, 1002):
            tell.way(number, number, "inbound", f"203.0.113.77:{number}")
            tell(number, What.LOST, way=number, reason="the connection was reset", dials=0)
        tell.way(1003, 1002, "inbound", PEER)
        tell(1004, What.HEARD, way=1002, line="HELLO")
        tell(1004, What.LOST, way=1002, reason="the relay was chosen", dials=0)
        tell.way(1005, 1, "relay", SERVER)
        labels = [row.label for row in story_of(tell.events).rows]
        self.assertEqual(labels[-3:], [f"from {PEER}", "970 more", "relay"])
        self.assertEqual(labels[1:31], [f"from 203.0.113.77:{number}" for number in range(2, 32)])
        self.assertEqual(len(labels), 34)


class ScaleTests(SynchronousTestCase):
    """From times to places."""

    def test_even(self) -> None:
        scale = Scale(10, 20, (12, 14))
        self.assertFalse(scale.cut)
        self.assertEqual([scale.place(time) for time in (5, 10, 15, 20, 25)], [0, 0, 0.5, 1, 1])

    def test_cut(self) -> None:
        """What is round the wait keeps its proportions; the wait has its share."""
        scale = Scale(0, 102, (1, 101))
        self.assertTrue(scale.cut)
        before, behind = scale.place(1), scale.place(101)
        self.assertAlmostEqual(behind - before, 0.12)
        self.assertAlmostEqual(before, 0.44)
        self.assertAlmostEqual(1 - behind, 0.44)

    @given(
        st.floats(0, 1e10),
        st.floats(0, 1e6),
        st.tuples(st.floats(0, 1), st.floats(0, 1)),
        st.lists(st.floats(0, 1), min_size=2),
    )
    def test_order(
        self, begin: float, length: float, lobby: tuple[float, float], moments: list[float]
    ) -> None:
        """Later is never further left, and everything is on the axis."""
        start, stop = sorted(begin + part * length for part in lobby)
        scale = Scale(begin, begin + length, (start, stop))
        places = [scale.place(begin + part * length) for part in sorted(moments)]
        self.assertEqual(places, sorted(places))
        self.assertTrue(all(0 <= place <= 1 for place in places))
        ticks = list(scale.ticks(5))
        self.assertTrue(1 <= len(ticks) <= 6, ticks)
        self.assertTrue(all(0 <= place <= 1 + 1e-6 for place, _ in ticks), ticks)


class DurationTests(SynchronousTestCase):
    """Lengths of time."""

    def test_texts(self) -> None:
        texts = {
            0: "0 ms",
            0.00001: "under 0.1 ms",
            0.0003: "0.3 ms",
            0.003: "3 ms",
            0.34: "340 ms",
            0.9999: "1 s",
            2.12: "2.1 s",
            59.7: "1 min 0 s",
            185: "3 min 5 s",
            3900: "1 h 5 min",
        }
        self.assertEqual({seconds: duration(seconds) for seconds in texts}, texts)
