"""
Invalid arguments: detected before anything is done, and reported in one line.
"""

from __future__ import annotations

import contextlib
import io
import os
from importlib import import_module
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from rdv.commands import cli
from rdv.options import forwards, port, seconds, seconds_text, size, workers
from rdv.server import Rendezvous
from rdv.server.site.service import RendezvousService
from rdv.server.workers.parent import WorkersService
from rdv.settings import ServerSettings, server_settings
from rdv.tap import Options, makeService
from twisted import internet

BAD_SECONDS = ("nan", "-1", "inf", "-inf", "1e9", "x", "", "-0.001")


class ValueTests(SynchronousTestCase):
    """The values themselves."""

    def test_values(self) -> None:
        for kind, good, bad in (
            (seconds, (0, 0.5, 300, 1e3, 999999999), BAD_SECONDS),
            (port, (0, 1, 8080, 65535), ("65536", "70000", "-1", "-5", "x", "", "1.5")),
            (workers, (1, 2, 256), ("-1", "257", "x", "", "1.5")),
            (forwards, (1, 100, 100_000), ("0", "-1", "100001", "x", "", "1.5")),
        ):
            for number in good:
                self.assertEqual(kind(str(number)), number)
            for text in bad:
                self.assertRaises(ValueError, kind, text)

    def test_units(self) -> None:
        """Of either case, with fractions; the last letter is the unit."""
        for text, value in (("90s", 90), ("5m", 300), ("1.5H", 5400), ("2d", 172800)):
            self.assertEqual(seconds(text), value)
        for text, value in (("0", 0), ("4096", 4096), ("64k", 1 << 16), ("1.5G", 3 << 29)):
            self.assertEqual(size(text), value)
        for text in ("5x", "m", "-1m", "1e9s", "20000d", "nanm", "infd", "1mm"):
            self.assertRaises(ValueError, seconds, text)
        for text in ("x", "k", "-1k", "10MB", "nan", "inf", "1e30"):
            self.assertRaises(ValueError, size, text)

    @given(st.integers(0, 10**8))
    def test_length_of_time_as_text(self, tenths: int) -> None:
        """It is read as what it was."""
        self.assertEqual(seconds(seconds_text(tenths / 10)), tenths / 10)
        for value, text in ((86400.0, "1d"), (90.0, "90s"), (5400.0, "90m"), (0.0, "0s")):
            self.assertEqual(seconds_text(value), text)

    def test_as_many_as_processors(self) -> None:
        self.patch(os, "sched_getaffinity", lambda pid: {0, 3, 5})
        self.assertEqual(workers("0"), 3)


class CommandTests(SynchronousTestCase):
    """The ``rdv`` command."""

    def assert_usage(self, *arguments: str, names: str) -> None:
        """It ends with status 2, and its last line says which option it is."""
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            end = self.assertRaises(SystemExit, cli.main, arguments)
        self.assertEqual(end.code, 2)
        self.assertRegex(stderr.getvalue().splitlines()[-1], f"^rdv: argument {names}: ")
        self.assertNotIn("Traceback", stderr.getvalue())

    def test_options(self) -> None:
        for line, bad in (
            ("dial --timeout http://h/ t", BAD_SECONDS),
            ("dial --penalty http://h/ t", BAD_SECONDS),
            ("dial --local-port http://h/ t", ("70000", "-5", "65536", "x", "1.5")),
            ("accept --local-port http://h/ t", ("70000", "-5", "65536", "x", "1.5")),
            ("serve --lobby-timeout", BAD_SECONDS),
            ("serve --handshake-timeout", BAD_SECONDS),
            ("serve --idle-timeout", BAD_SECONDS),
            ("serve --drain", BAD_SECONDS),
            ("serve --workers", ("-1", "257", "x", "1.5")),
        ):
            command, option, *others = line.split()
            for text in bad:
                self.assert_usage(command, f"{option}={text}", *others, names=option)

    def test_range(self) -> None:
        """It is said, too."""
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            self.assertRaises(SystemExit, cli.main, ["dial", "--local-port", "99999", "h", "t"])
        self.assertTrue(stderr.getvalue().endswith(": not a port, 0 to 65535: '99999'\n"))


class TwistTests(SynchronousTestCase):
    """``twist rdv``."""

    def test_workers(self) -> None:
        """One process, or several that log what ``twist`` wants to know."""
        # The tests' reactor keeps its clock; a program's reactor gets another one.
        import_module("twisted.internet.reactor")
        self.patch(internet, "reactor", MemoryReactorClock())
        options = Options()
        options.parseOptions([])
        self.assertIsInstance(makeService(options), RendezvousService)
        options.parseOptions(["--workers", "2"])
        several = makeService(options)
        self.assertIsInstance(several, WorkersService)
        self.assertRaises(UsageError, Options().parseOptions, ["--workers=x"])

    def test_seconds(self) -> None:
        for option in ("--lobby-timeout", "--handshake-timeout", "--idle-timeout", "--drain"):
            for text in BAD_SECONDS:
                words = [f"{option}={text}"]
                error = self.assertRaises(UsageError, Options().parseOptions, words)
                self.assertIn(f": {option}: not a time", str(error))
            options = Options()
            options.parseOptions([f"{option}=1.5"])
            self.assertEqual(options[option[2:]], 1.5)

    def test_names(self) -> None:
        """All that ``rdv serve`` has, and with the same names."""
        options = Options()
        options.parseOptions(["-p", "1", "--listen=2", "-l", "3", "--port", "4", "--no-align"])
        settings = options.settings()
        self.assertEqual(list(settings.listen), ["1", "2", "3", "4"])
        self.assertEqual(settings.align, False)
        self.assertEqual(Options().settings(), ServerSettings())
        known = {*Options().longOpt}
        for setting in server_settings():
            value = "" if setting.parse is None else "="
            self.assertIn(f"{setting.flag}{value}", known)

    def test_timeout_of_a_client(self) -> None:
        for role in ("dial", "accept"):
            for text in BAD_SECONDS:
                arguments = [role, f"--timeout={text}", "http://h/", "t"]
                self.assertRaises(UsageError, Options().parseOptions, arguments)


class RendezvousTests(SynchronousTestCase):
    """A server in a program."""

    NAMES = ("lobby_timeout", "handshake_timeout", "idle_timeout")

    def test_values(self) -> None:
        """Neither negative nor no number; 0 is for ever."""
        for name in self.NAMES:
            for value in (-1, -0.001, float("-inf"), float("nan")):
                options: dict[str, Any] = {name: value}
                self.assertRaises(ValueError, Rendezvous, Clock(), **options)
            options = {name: 0}
            Rendezvous(Clock(), **options)
