"""
A real browser without a screen: how it renders a page.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import zlib
from html import unescape
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.processes import Program

__all__ = ["Browser", "colours"]

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    # Only files, and servers of a test, may be loaded.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


class Browser:
    """
    Chromium, started anew for each page.

    :param test: its programs are killed when it is over.
    """

    program = shutil.which("chromium")

    def __init__(self, test: TestCase) -> None:
        self._test = test
        self._folder = Path(test.mktemp()).absolute()
        self._folder.mkdir(parents=True)

    async def _run(self, page: Path | str, *options: str) -> Program:
        assert self.program is not None
        profile = f"--user-data-dir={self._folder / 'profile'}"
        url = page if isinstance(page, str) else page.absolute().as_uri()
        program = Program(self._test, self.program, *_OPTIONS, profile, *options, url)
        status = await program.ended
        if status:
            raise AssertionError(program.report())
        said = [line for line in program.stderr.decode().splitlines() if "CONSOLE" in line]
        if said:
            raise AssertionError(f"the browser complains: {said}")
        return program

    async def measure(self, page: Path, script: str, width: int = 1000) -> Any:
        """
        Open a copy of a page and run a script in it.

        :param script: JavaScript, an expression of what JSON can say.
        :return: its value.
        """
        text = page.read_text(encoding="utf-8")
        # The page itself forbids scripts.
        text = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        attribute = "document.documentElement.setAttribute('data-found', JSON.stringify(found))"
        code = f"<script>//<![CDATA[\nconst found = {script};\n{attribute}\n//]]></script>"
        end = "</svg>" if page.suffix == ".svg" else "</body>"
        before, _, after = text.rpartition(end)
        copy = self._folder / f"measured{page.suffix}"
        copy.write_text(f"{before}{code}{end}{after}", encoding="utf-8")
        program = await self._run(copy, "--dump-dom", f"--window-size={width},900")
        found = re.search('data-found="([^"]*)"', program.stdout.decode())
        if found is None:
            raise AssertionError(f"the script did not run: {program.report()}")
        return json.loads(unescape(found[1]))

    async def contents(self, url: str, seconds: float) -> str:
        """What a page of a server has become, as HTML, after so many seconds of its own clock."""
        budget = f"--virtual-time-budget={seconds * 1000:.0f}"
        return (await self._run(url, "--dump-dom", budget)).stdout.decode()

    async def screenshot(self, page: Path | str, *, dark: bool = False, width: int = 1040) -> bytes:
        """A picture of the page as it is, as PNG."""
        path = self._folder / "screenshot.png"
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        await self._run(page, f"--screenshot={path}", scheme, f"--window-size={width},500")
        return path.read_bytes()


def colours(png: bytes) -> dict[bytes, int]:
    """
    How many pixels of a PNG have each colour, as RGB.

    :raises ValueError: when it is not one of eight bits a colour, without interlacing.
    """
    width, height, depth, kind, _, _, interlaced = struct.unpack("!IIBBBBB", png[16:29])
    size = {2: 3, 6: 4}.get(kind)
    if depth != 8 or size is None or interlaced:
        raise ValueError(f"not a PNG as expected: {depth} bits, kind {kind}")
    data, place = b"", 8
    while place < len(png):
        (length,) = struct.unpack("!I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += 12 + length
    raw = zlib.decompress(data)
    counts: dict[bytes, int] = {}
    line = bytearray(width * size)
    for row in range(height):
        start = row * (width * size + 1)
        line = _unfiltered(raw[start], raw[start + 1 : start + 1 + width * size], line, size)
        for pixel in range(0, len(line), size):
            colour = bytes(line[pixel : pixel + 3])
            counts[colour] = counts.get(colour, 0) + 1
    return counts


def _unfiltered(kind: int, line: bytes, above: bytearray, size: int) -> bytearray:
    """One line of pixels, as it was before PNG filtered it (PNG specification, section 9)."""
    found = bytearray(line)
    if kind == 0:
        return found
    for place, byte in enumerate(line):
        left = found[place - size] if place >= size else 0
        corner = above[place - size] if place >= size else 0
        if kind == 4:
            guess = left + above[place] - corner
            nearest = (left, above[place], corner)
            predicted = min(nearest, key=lambda each: abs(guess - each))
        else:
            predicted = (0, left, above[place], (left + above[place]) // 2)[kind]
        found[place] = (byte + predicted) & 0xFF
    return found
