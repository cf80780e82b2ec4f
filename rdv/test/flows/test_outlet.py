"""Lines that go to a pipe which perhaps nobody reads."""

from __future__ import annotations

import io
import os

from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.outlet import Outlet


class OutletTests(SynchronousTestCase):
    """A pipe, which blocks: a test that waits for it fails by its time limit."""

    def setUp(self) -> None:
        self.reader, writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.file = os.fdopen(writer, "w")
        self.addCleanup(self.file.close)
        self.missing: list[int] = []
        self.outlet = Outlet(self.file, self.missing.append)

    def read(self, size: int = 1 << 20) -> bytes:
        """So much of what is in it."""
        return os.read(self.reader, size)

    def fill(self) -> int:
        """Write lines of a piece until one more is dropped; how many there are."""
        count = 0
        while not self.outlet._skipped:
            self.outlet.write("x" * 1023 + "\n")
            count += 1
        return count - 1

    def test_room(self) -> None:
        self.outlet.write("one\n")
        self.outlet.write("two\n")
        self.outlet.flush()
        self.assertEqual((self.read(), self.missing), (b"one\ntwo\n", []))

    def test_nobody_reads(self) -> None:
        """What is dropped is counted, and told once."""
        filled = self.fill()
        for _ in range(9):
            self.outlet.write("dropped\n")
        self.assertEqual(self.missing, [])
        self.assertEqual(len(self.read()), filled * 1024)
        self.outlet.write("later\n")
        self.outlet.write("and later\n")
        self.assertEqual((self.read(), self.missing), (b"later\nand later\n", [10]))

    def test_missing_is_logged(self) -> None:
        """By the same way."""
        self.outlet = Outlet(self.file, lambda count: self.outlet.write(f"{count} missing\n"))
        self.fill()
        self.read()
        self.outlet.write("later\n")
        self.assertEqual(self.read(), b"1 missing\nlater\n")

    def test_long_line(self) -> None:
        """Longer than the pipe: it is cut, and the next one begins a line."""
        self.outlet.write("x" * (1 << 20) + "\n")
        cut = self.read()
        self.assertEqual(set(cut), {ord("x")})
        self.outlet.write("next\n")
        self.assertEqual((self.read(), self.missing), (b"\nnext\n", [1]))

    def test_nobody_will_ever_read(self) -> None:
        """No reason to fail."""
        reader, writer = os.pipe()
        os.close(reader)
        file = os.fdopen(writer, "w")
        outlet = Outlet(file, self.missing.append)
        outlet.write("lost\n")
        self.assertRaises(BrokenPipeError, file.close)

    def test_no_file(self) -> None:
        """As in a test."""
        text = io.StringIO()
        Outlet(text, self.missing.append).write("line\n")
        self.assertEqual(text.getvalue(), "line\n")
