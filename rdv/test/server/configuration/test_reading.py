"""
Settings from several sources: which ones take effect, and which are refused.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from rdv.commands.arguments import parse
from rdv.commands.serve import configuration_of
from rdv.errors import BadSettings, RdvError
from rdv.server.configuration.checking import refusals
from rdv.server.configuration.reading import PREFIX, Configuration
from rdv.settings import ServerSettings, server_settings
from rdv.tap import Options

VARIABLES = [
    f"{PREFIX}{name.upper().replace('-', '_')}" for each in server_settings() for name in each.names
]
KEYS = [name for each in server_settings() for name in each.names]


class ConfigurationTestCase(SynchronousTestCase):
    def file(self, content: str) -> str:
        """A configuration; its path."""
        path: str = self.mktemp()
        with open(path, "w") as file:
            file.write(content)
        return path

    def read(self, content: str | None = None, given: Any = None, **environ: str) -> Configuration:
        """What holds with this file, these options and these variables."""
        given = given or {}
        if content is not None:
            given["config"] = self.file(content)
        return Configuration(given, {f"{PREFIX}{name}": text for name, text in environ.items()})

    def assert_refused(self, content: str | None, *said: str, **environ: str) -> None:
        """Each is in a line of its own; FILE there is the path of the file."""
        path = self.file(content or "")
        given = {} if content is None else {"config": path}
        variables = {f"{PREFIX}{name}": text for name, text in environ.items()}
        error = self.assertRaises(BadSettings, Configuration, given, variables)
        self.assertEqual([each.replace(path, "FILE") for each in error.refusals], [*said])
        if content is not None and not environ:
            self.assert_both_say(path, error.refusals)

    def assert_both_say(self, path: str, refusals: Sequence[str]) -> None:
        """Both commands refuse the file with these lines."""
        options = Options()
        options.parseOptions(["--config", path])
        error = self.assertRaises(BadSettings, options.configuration)
        self.assertEqual(error.refusals, refusals)
        arguments = parse(["serve", "--config", path])
        error = self.assertRaises(BadSettings, configuration_of, arguments)
        self.assertEqual(error.refusals, refusals)
        self.assertNotIn("\n", "".join(refusals))


class PrecedenceTests(ConfigurationTestCase):
    def test_default(self) -> None:
        self.assertEqual(self.read().settings, ServerSettings())

    def test_each_alone(self) -> None:
        for configuration in (
            self.read('drain = "1.5m"\nlisten = ["1", 2]\nno-align = true'),
            self.read(DRAIN="1.5m", LISTEN="1, 2", NO_ALIGN="Yes"),
            self.read(given={"drain": 90.0, "listen": ("1", "2"), "align": False}),
        ):
            settings = configuration.settings
            self.assertEqual(settings.drain, 90.0)
            self.assertEqual(settings.listen, ("1", "2"))
            self.assertFalse(settings.align)

    def test_order(self) -> None:
        """The command line, then the environment, then the file, then the default."""
        content = "drain = 1\nhandshake-timeout = 1\nlobby-timeout = 1"
        given = {"drain": 3.0}
        read = self.read(content, given, DRAIN="2", HANDSHAKE_TIMEOUT="2")
        settings = read.settings
        self.assertEqual(
            (
                settings.drain,
                settings.handshake_timeout,
                settings.lobby_timeout,
                settings.idle_timeout,
            ),
            (3.0, 2.0, 1.0, None),
        )
        self.assertEqual(read.place("drain"), "--drain")
        self.assertEqual(read.place("handshake_timeout"), "RDV_SERVE_HANDSHAKE_TIMEOUT")
        self.assertEqual(read.place("lobby_timeout"), f"{settings.config}: lobby-timeout")
        self.assertEqual(read.place("align"), "--no-align")

    def test_lists_do_not_add_up(self) -> None:
        read = self.read("port = [1, 2]", LISTEN="3")
        self.assertEqual(read.settings.listen, ("3",))

    def test_off(self) -> None:
        """What a file switches, the environment can switch back."""
        self.assertTrue(self.read("no-align = false").settings.align)
        self.assertTrue(self.read("no-align = true", NO_ALIGN="0").settings.align)

    def test_empty_variable(self) -> None:
        self.assertEqual(self.read("drain = 1", DRAIN="").settings.drain, 1.0)

    def test_file_of_the_environment(self) -> None:
        path = self.file("drain = 1")
        self.assertEqual(self.read(CONFIG=path).settings.drain, 1.0)
        self.assertEqual(self.read("drain = 2", CONFIG=path).settings.drain, 2.0)

    def test_every_setting(self) -> None:
        """It is known by each of its names, in a file and in the environment."""
        for setting in server_settings():
            for name in setting.names:
                variable = name.upper().replace("-", "_")
                path = self.file(f"{name} = 2000-01-01")
                if setting.field != "config":
                    error = self.assertRaises(BadSettings, Configuration, {"config": path}, {})
                    self.assertNotIn("no such setting", str(error))
                try:
                    self.read(**{variable: "1"})
                except BadSettings as error:  # not every value can be 1
                    self.assertNotIn("no such setting", str(error))


class RefusalTests(ConfigurationTestCase):
    """Invalid settings: one line for each, with its place."""

    def test_names(self) -> None:
        self.assert_refused(
            "lobby-timeuot = 5", "FILE: lobby-timeuot: no such setting; did you mean lobby-timeout?"
        )
        self.assert_refused(
            "lobby_timeout = 5", "FILE: lobby_timeout: no such setting; did you mean lobby-timeout?"
        )
        self.assert_refused("x = 5", "FILE: x: no such setting; rdv serve --help lists them")
        self.assert_refused(
            "[lobby]\ntimeout = 5", "FILE: lobby: no such setting; rdv serve --help lists them"
        )
        self.assert_refused(
            None, "RDV_SERVE_PATHS: no such setting; did you mean RDV_SERVE_PATH?", PATHS="/"
        )
        # A file does not name another, and says nothing of a single run.
        self.assert_refused(
            'config = "x"', "FILE: config: no such setting; rdv serve --help lists them"
        )
        self.assert_refused("l = 5", "FILE: l: no such setting; rdv serve --help lists them")

    def test_values(self) -> None:
        length = "not a time such as 90, 5m, 2h or 1d"
        neither = "not a number or a quoted string"
        for content, said in (
            ('drain = "5x"', f"drain: {length}: '5x'"),
            ("drain = -1", f"drain: {length}: '-1'"),
            ("drain = nan", f"drain: {length}: 'nan'"),
            ("drain = inf", "drain: not a time below 1e9 s: 'inf'"),
            ("drain = 1e9", "drain: not a time below 1e9 s: '1000000000.0'"),
            ('drain = "a\\nb"', f"drain: {length}: 'a\\nb'"),
            ("drain = true", f"drain: a switch, {neither}"),
            ("drain = [1]", f"drain: a list, {neither}"),
            ("drain = {}", f"drain: a table, {neither}"),
            ("drain = 2000-01-01", f"drain: a date or time, {neither}"),
            ("workers = 257", "workers: not a number of workers, 0 to 256: '257'"),
            ("workers = 1.5", "workers: not a number of workers, 0 to 256: '1.5'"),
            ("no-align = 1", "no-align: neither true nor false: 1"),
            ('no-align = "true"', "no-align: neither true nor false: 'true'"),
            ("listen = []", "listen: an empty list; omit it for the default"),
            ("listen = [[1]]", f"listen: a list, {neither}"),
            (
                "listen = 1\nport = 2",
                "port: the same as FILE: listen; set only one of them",
            ),
        ):
            self.assert_refused(content, f"FILE: {said}")
        self.assert_refused(
            None, "RDV_SERVE_NO_ALIGN: neither true nor false: 'maybe'", NO_ALIGN="maybe"
        )
        self.assert_refused(None, f"RDV_SERVE_DRAIN: {length}: '5x'", DRAIN="5x")

    def test_files(self) -> None:
        self.assert_refused(
            "drain 5",
            "FILE: not TOML: Expected '=' after a key in a key/value pair (at line 1, column 7)",
        )
        self.assert_refused(
            "drain = 1\ndrain = 2", "FILE: not TOML: Cannot overwrite a value (at end of document)"
        )
        for path, reason in (("/nowhere", "No such file or directory"), ("/", "Is a directory")):
            self.assert_refused(None, f"{path}: {reason}", CONFIG=path)
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"\xff")
        error = self.assertRaises(BadSettings, Configuration, {"config": path}, {})
        self.assertTrue(error.refusals[0].startswith(f"{path}: not TOML: "), error)
        self.assertNotIn("\n", str(error))

    def test_too_deep(self) -> None:
        self.assert_refused("a = " + "[" * 10_000, "FILE: not TOML: lists are nested too deeply")

    def test_unprintable(self) -> None:
        """A name may be anything, but it is shown in one line that does nothing to a terminal."""
        unknown = "no such setting; rdv serve --help lists them"
        self.assert_refused(r'"\n\u001b[2J" = 1', f"FILE: ??[2J: {unknown}")
        hint = "no such setting; did you mean RDV_SERVE_TLS?"
        self.assert_refused(None, f"RDV_SERVE_?: {hint}", **{"\n": "1"})

    def test_several(self) -> None:
        """All at once."""
        self.assert_refused(
            "drain = true\nx = 1",
            "RDV_SERVE_WORKERS: not a number of workers, 0 to 256: 'x'",
            "FILE: drain: a switch, not a number or a quoted string",
            "FILE: x: no such setting; rdv serve --help lists them",
            WORKERS="x",
        )
        error = BadSettings(["first", "second", "third"])
        self.assertEqual(str(error), "first (and 2 more)")
        self.assertEqual(str(BadSettings(["first"])), "first")


class AnythingTests(ConfigurationTestCase):
    """Any contents are accepted, or refused in single lines."""

    def assert_lines(self, given: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        with contextlib.suppress(BadSettings):
            configuration = Configuration(given, environ)
            reactor: Any = MemoryReactorClock()
            for line in refusals(reactor, configuration):
                self.assertNotIn("\n", line)

    @given(st.dictionaries(st.sampled_from(VARIABLES), st.text()))
    def test_environment(self, environ: dict[str, str]) -> None:
        self.assert_lines({}, environ)

    @given(st.binary())
    def test_bytes(self, content: bytes) -> None:
        path: str = self.mktemp()
        with open(path, "wb") as file:
            file.write(content)
        self.assert_lines({"config": path}, {})

    @given(st.sampled_from(KEYS), st.text())
    def test_text(self, key: str, text: str) -> None:
        quoted = json.dumps(text.encode("utf-8", "replace").decode())
        self.assert_lines({"config": self.file(f"{key} = {quoted}")}, {})


class ChangeTests(ConfigurationTestCase):
    """``reload``."""

    def setUp(self) -> None:
        self.used: list[ServerSettings] = []

    def assert_logged(self, read: Configuration, *said: str) -> None:
        with capturedLogs() as events:
            read.reload(self.used.append)
        self.assertEqual([formatEvent(event) for event in events], [*said])

    def write(self, read: Configuration, content: str) -> None:
        assert read.settings.config is not None
        with open(read.settings.config, "w") as file:
            file.write(content)

    def test_changed(self) -> None:
        """What stands elsewhere, too, is not."""
        read = self.read("drain = 1\nlobby-timeout = 1", {"lobby_timeout": 5.0})
        self.assert_logged(read)
        self.write(read, "drain = 2\nlobby-timeout = 2\nno-align = true")
        self.assert_logged(read, "drain, no-align: changed")
        (settings,) = self.used
        self.assertIs(read.settings, settings)
        self.assertEqual(
            (settings.drain, settings.align, settings.lobby_timeout), (2.0, False, 5.0)
        )
        self.assert_logged(read)

    def test_later(self) -> None:
        """What a process cannot change: that is said each time, until it is one that has it."""
        read = self.read("drain = 1")
        self.write(read, 'drain = 1\nport = 1\npath = "/rdv"')
        later = "listen, path: take effect with the next generation, SIGUSR2"
        for _ in range(2):
            self.assert_logged(read, later)
        self.write(read, "drain = 2\nport = 1")
        one = "listen: takes effect with the next generation, SIGUSR2"
        self.assert_logged(read, "drain: changed", one)
        (settings,) = self.used
        self.assertEqual((settings.drain, settings.listen), (2.0, ("8080",)))
        self.write(read, "drain = 2")
        self.assert_logged(read)

    def test_refused(self) -> None:
        """By us, or by who has it: nothing has changed then."""
        read = self.read("drain = 1")
        before = read.settings
        self.write(read, "drain = x")
        self.assertRaises(BadSettings, read.reload, self.used.append)
        self.write(read, "drain = 2\nport = 1")

        def refuse(_: ServerSettings) -> None:
            raise RdvError("no")

        with capturedLogs() as events:
            self.assertRaises(RdvError, read.reload, refuse, self.used.append)
        self.assertEqual(events, [])
        self.assertIs(read.settings, before)
        self.assertEqual(self.used, [])
        self.write(read, "drain = 1")
        self.assert_logged(read)
