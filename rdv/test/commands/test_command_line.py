"""
Options before and after the command, and tokens that look like options.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Form
from rdv.commands import arguments
from rdv.commands.arguments import parse
from rdv.commands.command_line import CommandParser

URL = "http://example.com"
#: Where each command has the token, as ``{}``.
PLACES = (
    ("dial", URL, "{}"),
    ("a", URL, "{}"),
    ("expose", URL, "{}", "22"),
    ("connect", "-l", "8022", URL, "{}"),
    ("connect", URL, "{}", "-l", "8022"),
)
#: The characters of a token from ``secrets.token_urlsafe``.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


class Refused(Exception):
    """Wrong usage, with its error message."""


def read(*words: str, form: Form = Form.TEXT) -> argparse.Namespace:
    """
    What a command line says.

    :raises Refused: when it is wrong.
    """
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        try:
            return parse(words, form)
        except SystemExit as end:
            assert end.code == 2, end
    raise Refused(stderr.getvalue())


class SecretTests(SynchronousTestCase):
    """A secret at the wrong place."""

    def test_not_shown(self) -> None:
        secret = "rdvs1-" + LETTERS[:43]
        for line in (
            f"{secret}",
            f"--{secret} dial {URL} x",
            f"dial {URL} x {secret}",
            f"serve --{secret}",
            f"dial {URL} x --penal={secret.upper()}",
            f"dial {URL} x --penalty {secret}",
            f"serve {secret}",
        ):
            for form in (Form.TEXT, Form.JSON):
                error = str(self.assertRaises(Refused, read, *line.split(), form=form))
                self.assertNotIn(LETTERS[:3], error.upper())


class OptionTests(SynchronousTestCase):
    """Where options may stand."""

    def assert_same(self, *lines: str) -> argparse.Namespace:
        """All of these say the same."""
        first, *others = (read(*line.split()) for line in lines)
        for other in others:
            self.assertEqual(vars(other), vars(first))
        return first

    def test_before_the_command(self) -> None:
        said = self.assert_same(
            "dial -q --timeout 5 -r http://h/ t",
            "-q --timeout 5 -r dial http://h/ t",
            "--timeout=5 -rq dial http://h/ t",
            "--timeout 5 -q dial http://h/ -r t",
            "--quiet --timeo 5 dial http://h/ t -r",
        )
        self.assertEqual((said.form, said.timeout, said.relay), (Form.QUIET, 5, True))
        self.assert_same("serve -v -l 1 --drain 3 -l 2", "-v -l 1 --drain 3 serve -l 2")
        self.assert_same("check --json http://h/", "--json check http://h/")
        self.assert_same(
            "connect http://h/ t --listen 22",
            "-l22 connect http://h/ t",
            "-l 22 connect http://h/ t",
        )

    def test_value_that_is_a_command(self) -> None:
        said = read("--path", "dial", "serve")
        self.assertEqual((said.command, said.path), ("serve", "dial"))

    def test_module(self) -> None:
        """An alias is the command itself, which may share its module with another."""
        for words, command, module in (
            (("s",), "serve", "serve"),
            (("d", URL, "t"), "dial", "stream"),
            (("a", URL, "t"), "accept", "stream"),
            (("expose", URL, "t", "22"), "expose", "forward"),
        ):
            said = read(*words)
            self.assertEqual((said.command, said.module), (command, module))

    def test_refused(self) -> None:
        """Of another command it is unknown, wherever it stands."""
        required = "rdv: the following arguments are required: COMMAND"
        for lines, error in (
            (
                (
                    "-r serve",
                    "serve -r",
                    "--drain 3 dial http://h/ t",
                    "-l 1 accept http://h/ t",
                ),
                "rdv: unrecognized arguments: -",
            ),
            (("", "-v", "--json", "--timeout 5", "--timeout"), required),
            (("walk", "--timeout 5 walk", "-q walk dial"), "invalid choice: 'walk'"),
            (
                ("dial http://h/ t --timeout", "--timeout -q dial http://h/ t"),
                "expected one argument|are required: COMMAND",
            ),
        ):
            for line in lines:
                told = self.assertRaises(Refused, read, *line.split())
                self.assertRegex(str(told), error, line)

    def test_mistyped(self) -> None:
        """The command's own options are suggested, if one is alike."""
        for line, error in (
            ("serve --lobby-timout 5", "--lobby-timout 5; did you mean --lobby-timeout?"),
            ("--explian dial http://h/ t", "--explian; did you mean --explain?"),
            ("dial --tmeout=4 http://h/ t", "--tmeout=4; did you mean --timeout?"),
            ("serve --explain", "--explain"),
            ("dial http://h/ t u", "u"),
        ):
            told = self.assertRaises(Refused, read, *line.split())
            last = str(told).splitlines()[-1]
            self.assertEqual(last, f"rdv: unrecognized arguments: {error}", line)

    def test_same_kind_everywhere(self) -> None:
        """An option takes a value in each command or in none: before the command that is asked."""
        takes: dict[str, set[bool]] = {}

        def note(words: object, commands: dict[str, CommandParser]) -> list[str]:
            for parser in commands.values():
                for action in parser._actions:
                    for name in action.option_strings:
                        takes.setdefault(name, set()).add(action.nargs != 0)
            return ["demo"]

        self.patch(arguments, "arranged", note)
        parse(["-q", "demo"])
        self.assertIn("--timeout", takes)
        self.assertEqual({name for name, kinds in takes.items() if len(kinds) > 1}, set())

    def test_help(self) -> None:
        """It is about the command, wherever it stands, and has what that takes and no more."""
        for words, has, has_not in (
            (("serve", "-h"), "--drain", "--spaces"),
            (("-h", "serve"), "--drain", "use the relay"),
            (("dial", "--help"), "--spaces", "ADDRESS"),
            (("demo", "--help"), "-v", "-r"),
            (("--help",), "COMMAND", "--spaces"),
        ):
            stdout = io.StringIO()
            with contextlib.redirect_stdout(stdout):
                self.assertRaises(SystemExit, parse, words)
            self.assertIn(has, stdout.getvalue())
            self.assertNotIn(has_not, stdout.getvalue())


class TokenTests(SynchronousTestCase):
    """Tokens that begin with a dash."""

    @given(st.text(LETTERS, min_size=1, max_size=60), st.sampled_from(PLACES))
    @example("-Xk9", PLACES[0])
    @example("--", PLACES[0])
    @example("-5", PLACES[2])
    @example("l0", PLACES[-1])
    @example("-l", PLACES[0])
    @example("-p", PLACES[0])
    def test_any(self, text: str, place: tuple[str, ...]) -> None:
        """It is taken as it is, or one is told how to write it."""
        token = f"-{text}"
        words = [word.format(token) for word in place]
        try:
            said = read(*words)
        except Refused as error:
            self.assertRegex(str(error), r"are required: .*|expected|ambiguous option")
            if not is_option(token):
                self.assertIn("starts with a dash after --", str(error))
        except AssertionError:
            self.assertIn("h", token)  # it asks for help
        else:
            if said.token is not None or is_option(token):
                self.assertIn(said.token, (token, None))
            else:  # taken for an option, so the message says what to do
                self.assertIn("starts with a dash after --", said.hint)

    @given(st.text(LETTERS, min_size=20, max_size=60), st.sampled_from(PLACES))
    def test_long(self, text: str, place: tuple[str, ...]) -> None:
        """As long as they should be. Only -l has its value behind it."""
        words = [word.format(f"-{text}") for word in place]
        if place[0] == "connect" and "l" in text:
            return
        self.assertEqual(read(*words).token, f"-{text}")

    @given(st.text(LETTERS, min_size=1, max_size=60), st.sampled_from(PLACES))
    def test_behind_dashes(self, text: str, place: tuple[str, ...]) -> None:
        """That is always possible, but with a second one, which argparse takes away."""
        assume(text != "-")
        options, values = place[1:], [word for word in place[1:] if word in (URL, "{}", "22")]
        found = [word for word in options if word in ("-l", "8022")]
        words = [place[0], *found, "--", *(value.format(f"-{text}") for value in values)]
        self.assertEqual(read(*words).token, f"-{text}")

    def test_options_beside_it(self) -> None:
        for line in ("dial -q {} -Xk9 -r", "-q dial {} -Xk9 -r", "-r dial -q {} -- -Xk9"):
            said = read(*line.format(URL).split())
            self.assertEqual((said.token, said.form, said.relay), ("-Xk9", Form.QUIET, True))

    def test_told(self) -> None:
        """How to write it; not where it has nothing to do with it."""
        hint = "after --, as in: rdv {} -- URL -TOKEN"
        for line, command in (("dial {} -vq", "dial"), ("connect -l 22 {} -l9", "connect")):
            self.assertIn(hint.format(command), read(*line.format(URL).split()).hint, line)
        for line in ("dial {}", "dial {} t", "check"):
            self.assertEqual(read(*line.format(URL).split()).hint, "", line)
        for line in ("dial {} t -x", "dial --quite {} t", "check -x"):
            error = self.assertRaises(Refused, read, *line.format(URL).split())
            self.assertNotIn("behind", str(error), line)
        error = self.assertRaises(Refused, read, "a", "-Xk9", URL, form=Form.JSON)
        event: dict[str, Any] = json.loads(str(error))
        self.assertIn(hint.format("a"), event["message"])


def is_option(word: str) -> bool:
    """Whether it is exactly one option of a command, or ends the options."""
    return word in ("-q", "-v", "-r", "-n", "-l", "-h", "--")
