"""
The picture of an attempt, as a browser shows it.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from rdv.client.trace import Event, What
from rdv.explain import html, svg
from rdv.test.explain.doubles import DIRECT, MOVED, REFUSED, RELAYED, Telling
from tests.browser import Browser, colours

#: Where each element of the picture is, in pixels of the window.
PLACES = """(() => {
  const place = (each) => { const r = each.getBoundingClientRect();
    return [r.left, r.top, r.right, r.bottom]; };
  const all = (from, what) => [...from.querySelectorAll(what)];
  const picture = document.querySelector('svg');
  return {
    window: [0, 0, innerWidth, innerHeight],
    scrolls: document.documentElement.scrollWidth > innerWidth,
    picture: place(picture),
    name: picture.querySelector('title').textContent,
    texts: all(picture, 'text:not(.letter)').map((t) => [t.textContent, ...place(t)]),
    rows: all(picture, 'g.row').map((row) => ({
      state: row.dataset.state,
      texts: all(row, 'text:not(.letter)').map((t) => [t.textContent, ...place(t)]),
      bars: all(row, '.bar').map((bar) => [bar.classList[1], ...place(bar)]),
      marks: all(row, '.mark, .letter').map(place),
      stars: all(row, '.CHOSEN').map(place),
    })),
  };
})()"""


def crowded() -> list[Event]:
    """Addresses and reasons as long as they get, and a wait of hours."""
    tell = Telling()
    tell.begin()
    tell.ask()
    begin = 7_200_000.0
    tell.meet(begin)
    for number in range(2, 12):
        tell.way(
            begin, number, "inbound", f"[2001:db8:1111:2222:3333:4444:5555:{number:04x}]:40000"
        )
        tell(begin + number, What.STANDS, way=number, seconds=None, round_trip=0.001)
        tell(begin + 300, What.HEARD, way=number, line="HELLO")
        tell(begin + 400, What.LOST, way=number, reason="WWWW wide words " * 8, dials=0)
    tell(begin + 30_000, What.FAILED, reason="no path to the peer")
    return tell.events


class BrowserTestCase(TestCase):
    """
    :ivar browser: a browser.
    """

    timeout = 120
    if Browser.program is None:
        skip = "chromium is not installed"

    def setUp(self) -> None:
        self.browser = Browser(self)

    def page(self, text: str, suffix: str) -> Path:
        path = Path(self.mktemp() + suffix)
        path.write_text(text, encoding="utf-8")
        return path


class GeometryTests(BrowserTestCase):
    """Everything is present, inside the picture, and does not overlap."""

    def assert_inside(self, inner: list[float], outer: list[float], what: object) -> None:
        left, top, right, bottom = inner
        self.assertGreaterEqual(left, outer[0] - 0.5, what)
        self.assertGreaterEqual(top, outer[1] - 0.5, what)
        self.assertLessEqual(right, outer[2] + 0.5, what)
        self.assertLessEqual(bottom, outer[3] + 0.5, what)

    def check_picture(self, found: dict[str, Any], rows: int) -> None:
        """Of any attempt."""
        self.assertFalse(found["scrolls"])
        self.assertGreaterEqual(found["picture"][0], 0)
        self.assertLessEqual(found["picture"][2], found["window"][2])
        self.assertEqual(len(found["rows"]), rows)
        for text, *place in found["texts"]:
            self.assert_inside(place, found["picture"], text)
        for one, other in combinations(found["texts"], 2):
            self.assertFalse(overlap(one[1:], other[1:]), (one, other))
        for row in found["rows"]:
            labels = [text for text in row["texts"] if text[1] < found["picture"][0] + 100]
            outcomes = [text for text in row["texts"] if text not in labels]
            self.assertTrue(labels and outcomes, row)
            for what, *place in row["bars"]:
                self.assertGreater(place[2] - place[0], 0.5, what)
                self.assertGreater(place[3] - place[1], 2, what)
                self.assertGreaterEqual(place[0], max(text[3] for text in labels) - 1, row)
                self.assertLessEqual(place[2], min(text[1] for text in outcomes) + 1, row)
            for place in row["marks"] + row["stars"]:
                self.assert_inside(place, found["picture"], row["state"])

    async def test_direct(self) -> None:
        """Thirty dials and a winner, in a page as wide as a small window."""
        page = self.page(html(DIRECT), ".html")
        found = await self.browser.measure(page, PLACES)
        self.check_picture(found, 5)
        winner = found["rows"][2]
        self.assertEqual((winner["state"], len(winner["stars"])), ("won", 1))
        self.assertEqual([each[0] for each in winner["bars"]], ["CONNECT"] * 31 + ["HANDSHAKE"])
        starts = [each[1] for each in winner["bars"]]
        self.assertEqual(starts, sorted(starts))
        # The wait of two minutes is a small part of it.
        (lobby,) = found["rows"][1]["bars"]
        self.assertLess(lobby[3] - lobby[1], 80)

    async def test_moved(self) -> None:
        """The stream is drawn from the relay's star to that of the way that it moved to."""
        found = await self.browser.measure(self.page(html(MOVED), ".html"), PLACES)
        self.check_picture(found, 5)
        winner, relay = found["rows"][2], found["rows"][-1]
        self.assertEqual((winner["state"], len(winner["stars"])), ("won", 1))
        self.assertEqual((relay["state"], len(relay["stars"])), ("open", 1))
        stream = relay["bars"][-1]
        self.assertEqual(stream[0], "STREAM")
        for star, place in ((relay["stars"][0], stream[1]), (winner["stars"][0], stream[3])):
            self.assertLess(abs((star[0] + star[2]) / 2 - place), 2)

    async def test_relayed(self) -> None:
        """The picture alone."""
        found = await self.browser.measure(self.page(svg(RELAYED), ".svg"), PLACES)
        self.check_picture(found, 5)
        self.assertIn("through the relay", found["name"])
        patience = [bar for bar in found["rows"][-1]["bars"] if bar[0] == "PATIENCE"]
        unanswered = found["rows"][2]["bars"][0]
        # Both last for nearly all of the attempt.
        for bar in (*patience, unanswered):
            self.assertGreater(bar[3] - bar[1], 330)

    async def test_crowded(self) -> None:
        found = await self.browser.measure(self.page(html(crowded()), ".html"), PLACES)
        self.check_picture(found, 13)


class LookTests(BrowserTestCase):
    """What is visible."""

    async def test_light_and_dark(self) -> None:
        """Each has its own background, and something on it."""
        page = self.page(html(DIRECT), ".html")
        for dark, back, ink in (
            (False, b"\xff\xff\xff", b"\x1d\x23\x30"),
            (True, b"\x14\x18\x1f", b"\xe6\xe9\xef"),
        ):
            found = colours(await self.browser.screenshot(page, dark=dark))
            self.assertEqual(max(found, key=lambda colour: found[colour]), back)
            self.assertGreater(found.get(ink, 0), 200)
            self.assertGreater(len(found), 50)

    async def test_picture_alone(self) -> None:
        found = colours(await self.browser.screenshot(self.page(svg(REFUSED), ".svg")))
        self.assertGreater(len(found), 20)


def overlap(one: list[float], other: list[float]) -> bool:
    """Whether two boxes have more than a hairline in common."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width > 1 and height > 3
