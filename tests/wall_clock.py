"""
A wall clock that can be set, for programs under test. The machine's own is left alone.

::

    clock = WallClock(self)
    with clock.seen():
        program = self.rdv("dial", ...)
    clock.step(-3600)

The program's ``time.time()`` then changes; ``time.monotonic()`` does not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.trial.unittest import TestCase

__all__ = ["WallClock"]

#: Python imports it at its start, before anybody can have taken ``time.time``.
_SITE_CUSTOMIZE = """\
import os
import time

_fd = os.open({path!r}, os.O_RDONLY)
_real = time.time
time.time = lambda: _real() + float(os.pread(_fd, 32, 0))
"""


class WallClock:
    """It starts with the right time."""

    def __init__(self, test: TestCase) -> None:
        self._folder = Path(test.mktemp()).absolute()
        self._folder.mkdir()
        self._offset = 0.0
        path = self._folder / "offset"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        test.addCleanup(os.close, self._fd)
        (self._folder / "sitecustomize.py").write_text(_SITE_CUSTOMIZE.format(path=str(path)))
        self.step(0.0)

    def step(self, seconds: float) -> None:
        """Set it so much forward, or back."""
        self._offset += seconds
        os.pwrite(self._fd, f"{self._offset:+20.3f}".encode(), 0)

    @contextmanager
    def seen(self) -> Iterator[None]:
        """Programs that are started meanwhile, and those that they start, go by it."""
        before = os.environ.get("PYTHONPATH")
        paths = [str(self._folder), *([before] if before else [])]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        try:
            yield
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before
