"""The events as JSON, as a picture and as a page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from rdv.client.trace import Event, What
from rdv.explain import html, ndjson, svg
from rdv.test.explain.doubles import DIRECT, REFUSED, RELAYED, UNREACHABLE, Telling, events_lists

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
        """One object for each event, in its order."""
        records = [json.loads(line) for line in ndjson(DIRECT).splitlines()]
        self.assertEqual([each["event"] for each in records], [e.what.value for e in DIRECT])
        self.assertEqual(records[0]["server"], "https://example.com/rdv")
        self.assertEqual(records[2]["addresses"], ["192.0.2.80:443"])

    def test_no_number(self) -> None:
        """What JSON has no number for is null."""
        event = Event(1.0, 1, What.WAITS, {"seconds": float("inf")})
        self.assertEqual(json.loads(ndjson([event]))["seconds"], None)

    @given(events_lists())
    def test_anything(self, events: list[Event]) -> None:
        lines = ndjson(events).splitlines()
        self.assertEqual([json.loads(line)["time"] for line in lines], [e.time for e in events])


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

    def test_named(self) -> None:
        """For whoever cannot see it."""
        root = ElementTree.fromstring(svg(RELAYED))
        names = [root.find(f"{SVG}{tag}") for tag in ("title", "desc")]
        self.assertEqual(
            root.get("aria-labelledby"), " ".join(n.get("id", "") for n in names if n is not None)
        )
        texts = [name.text or "" for name in names if name is not None]
        self.assertIn("through the relay", texts[0])
        self.assertIn("none of the 2 addresses", texts[1])

    def test_alone(self) -> None:
        """Nothing from outside, no script."""
        for events in (DIRECT, RELAYED, REFUSED, UNREACHABLE):
            text = svg(events)
            self.assertNotRegex(text, "href|url\\(|@import|script")
            self.assertEqual(
                re.findall('https?://[^"<: ]*', text.replace("example.com", "")),
                [
                    "http://www.w3.org/2000/svg",
                    *["https:///rdv"] * text.count("https://example.com"),
                ],
            )

    def test_escaped(self) -> None:
        root = ElementTree.fromstring(svg(evil()))
        self.assertEqual({e.tag for e in root.iter()} & {f"{SVG}script", "script"}, set())

    @given(events_lists())
    def test_anything(self, events: list[Event]) -> None:
        """Well formed, and all bars are within the chart."""
        root = ElementTree.fromstring(svg(events))
        for bar in root.findall(f"{SVG}g/{SVG}rect"):
            start, width = float(bar.get("x", "")), float(bar.get("width", ""))
            self.assertTrue(start >= 322 and start + width <= 702, (start, width))


class HTMLTests(SynchronousTestCase):
    """The page."""

    def test_alone(self) -> None:
        page = Reader(html(DIRECT))
        self.assertNotIn("script", page.tags)
        self.assertEqual(page.links, [])
        self.assertEqual(page.tags.count("svg"), 1)

    def test_all_events(self) -> None:
        self.assertEqual(Reader(html(DIRECT)).tags.count("tr"), len(DIRECT) + 1)

    def test_many_events(self) -> None:
        """A page remains a page."""
        event = DIRECT[-1]
        text = html([event] * 2500)
        self.assertEqual(Reader(text).tags.count("tr"), 2001)
        self.assertIn("500 more are not listed", text)

    def test_escaped(self) -> None:
        text = html(evil())
        self.assertNotIn("script", Reader(text).tags)
        self.assertNotIn("\x00", text)
        self.assertIn("&lt;script&gt;", text)

    @given(events_lists())
    def test_anything(self, events: list[Event]) -> None:
        page = Reader(html(events))
        self.assertNotIn("script", page.tags)
