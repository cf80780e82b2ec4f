"""The events as JSON, as a picture and as a page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from hypothesis import example, given
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.trace import Event, What
from rdv.explain import html, ndjson, svg
from rdv.test.explain.doubles import (
    DIRECT,
    MOVED,
    REFUSED,
    RELAYED,
    UNREACHABLE,
    Telling,
    events_lists,
)

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "</svg><script>alert(1)</script>\x00\x1b&\"'"


def evil() -> list[Event]:
    """A server that knows HTML."""
    tell = Telling()
    tell(0, What.BEGUN, role="dialer", server=EVIL)
    tell(1, What.CALLED, address=EVIL)
    tell(2, What.ANSWERED, status=500, phrase=EVIL)
    tell(2, What.WAY, way=1, kind="dial", address=EVIL, space=EVIL)
    tell(2, What.LOST, way=1, reason=EVIL)
    tell(3, What.FAILED, reason=EVIL)
    return tell.events


class Reader(HTMLParser):
    """The tags of a page, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


class NDJSONTests(SynchronousTestCase):
    """For programs."""

    def test_lines(self) -> None:
        """One object for each event, in its order; what JSON has no number for is null."""
        events = [*DIRECT, Event(1.0, 1, What.WAITS, {"seconds": float("inf")})]
        records = [json.loads(line) for line in ndjson(events).splitlines()]
        self.assertEqual([each["event"] for each in records], [e.what.value for e in events])
        self.assertEqual(records[0]["server"], "https://example.com/rdv")
        self.assertEqual(records[2]["addresses"], ["192.0.2.80:443"])
        self.assertEqual(records[-1]["seconds"], None)


class SVGTests(SynchronousTestCase):
    """The picture."""

    def test_rows(self) -> None:
        """A row for each call to the server, the lobby, and each way; with its bars and marks."""
        root = ElementTree.fromstring(svg(DIRECT))
        rows = root.findall(f"{SVG}g[@class='row']")
        self.assertEqual(
            [row.get("data-state") for row in rows], ["open", "open", "won", "lost", "lost"]
        )
        winner = rows[2]
        bars = [each for each in winner.iter(f"{SVG}rect") if "bar" in each.get("class", "")]
        self.assertEqual(len(bars), 32)
        self.assertEqual(len(list(winner.iter(f"{SVG}path"))), 31 + 30 + 1)

    def test_moved(self) -> None:
        """Which way has won is where the stream is now; the relay had it before."""
        root = ElementTree.fromstring(svg(MOVED))
        rows = root.findall(f"{SVG}g[@class='row']")
        self.assertEqual(
            [row.get("data-state") for row in rows], ["open", "open", "won", "lost", "open"]
        )
        (stream,) = [each for each in root.iter(f"{SVG}rect") if each.get("class") == "bar STREAM"]
        self.assertIn(stream, list(rows[-1]))
        self.assertGreater(float(stream.get("width", "")), 300)

    def test_named(self) -> None:
        """For whoever cannot see it."""
        root = ElementTree.fromstring(svg(RELAYED))
        title, description = (root.find(f"{SVG}{tag}") for tag in ("title", "desc"))
        assert title is not None and description is not None
        self.assertEqual(root.get("aria-labelledby"), f"{title.get('id')} {description.get('id')}")
        self.assertIn("through the relay", title.text or "")
        self.assertIn("none of the 2 addresses", description.text or "")

    def test_alone(self) -> None:
        """Nothing from outside, no script, whatever a server says."""
        for events in (DIRECT, MOVED, RELAYED, REFUSED, UNREACHABLE):
            text = svg(events)
            self.assertNotRegex(text, "href|url\\(|@import|script")
            links = set(re.findall('https?://[^"<: ]*', text))
            self.assertEqual(links, {"http://www.w3.org/2000/svg", "https://example.com/rdv"})
        tags = {each.tag for each in ElementTree.fromstring(svg(evil())).iter()}
        self.assertEqual(tags & {f"{SVG}script", "script"}, set())

    @given(events_lists())
    @example(DIRECT)
    def test_anything(self, events: list[Event]) -> None:
        """Well formed, and all bars are within the chart."""
        root = ElementTree.fromstring(svg(events))
        for bar in root.findall(f"{SVG}g/{SVG}rect"):
            start, width = float(bar.get("x", "")), float(bar.get("width", ""))
            self.assertTrue(start >= 322 and start + width <= 702, (start, width))


class HTMLTests(SynchronousTestCase):
    """The page."""

    def test_alone(self) -> None:
        """The picture and all events, and nothing from outside, whatever a server says."""
        for events in (DIRECT, evil()):
            text = html(events)
            page = Reader(text)
            self.assertNotIn("script", page.tags)
            self.assertNotIn("\x00", text)
            self.assertEqual(page.links, [])
            self.assertEqual(page.tags.count("svg"), 1)
            self.assertEqual(page.tags.count("tr"), len(events) + 1)
        self.assertIn("&lt;script&gt;", html(evil()))

    def test_many_events(self) -> None:
        """A page remains a page."""
        text = html([DIRECT[-1]] * 2500)
        self.assertEqual(Reader(text).tags.count("tr"), 2001)
        self.assertIn("500 more are not listed", text)

    @given(events_lists())
    def test_anything(self, events: list[Event]) -> None:
        self.assertNotIn("script", Reader(html(events)).tags)
        records = [json.loads(line) for line in ndjson(events).splitlines()]
        self.assertEqual([each["time"] for each in records], [e.time for e in events])
