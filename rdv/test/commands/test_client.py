"""
Tests of :mod:`rdv.commands.client`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console, Form
from rdv.commands import check, client
from rdv.commands.arguments import parse
from rdv.commands.client import headers_of
from rdv.commands.running import BadUsage
from rdv.test.client.doubles import ClientReactor

#: The arguments before the options, for each command that contacts a server.
COMMANDS = (
    ("dial", "http://h/", "t"),
    ("accept", "http://h/", "t"),
    ("expose", "http://h/", "t", "80"),
    ("connect", "http://h/", "t", "-l", "80"),
    ("check", "http://h/"),
)


class MoveTests(SynchronousTestCase):
    """Whether a stream may move."""

    def test_option(self) -> None:
        """It may, unless somebody does not want it."""
        given: list[object] = []
        self.patch(client, "Client", lambda reactor, **options: given.append(options["move"]))
        for command in COMMANDS[:-1]:
            client.client_of(None, parse(command))
            client.client_of(None, parse([*command, "--no-move"]))
        self.assertEqual(given, [True, False] * 4)


class SeveralServersTests(SynchronousTestCase):
    """What does not work with more than one server."""

    def test_local_port(self) -> None:
        """Two attempts cannot have it at the same time."""
        for command in COMMANDS[:2]:
            arguments = parse([command[0], "http://a,http://b", "t", "--local-port", "4000"])
            error = self.assertRaises(BadUsage, client.client_of, None, arguments)
            self.assertIn("a single server only", str(error))

    def test_check(self) -> None:
        """What it says is about one."""
        arguments = parse(["check", "http://a,http://b"])
        checking = Deferred.fromCoroutine(
            check.run(ClientReactor(), arguments, Console(Form.QUIET))
        )
        error = self.failureResultOf(checking, BadUsage).value
        self.assertIn("once per server", str(error))


class HeadersTests(SynchronousTestCase):
    """From the command line, and from files, where other users do not see them."""

    def file_of(self, content: bytes) -> str:
        path = Path(self.mktemp())
        path.write_bytes(content)
        return str(path)

    def headers(self, *options: str) -> dict[bytes, Sequence[bytes]]:
        """The same for each command."""
        found = [
            dict(headers_of(parse([*command, *options])).getAllRawHeaders()) for command in COMMANDS
        ]
        self.assertEqual(found, found[:1] * len(found))
        return found[0]

    def test_files(self) -> None:
        """A header a line; files and options add to each other."""
        self.assertEqual(self.headers(), {})
        one = self.file_of(b"Authorization: Basic eDp5\r\n\n X-Trace :  1 : 2\n")
        other = self.file_of("x-trace: ä".encode())
        self.assertEqual(
            self.headers("--header-file", one, "--header", "X-Trace: 0", "--header-file", other),
            {b"Authorization": [b"Basic eDp5"], b"X-Trace": [b"0", b"1 : 2", "ä".encode()]},
        )
        self.assertEqual(self.headers("--header-file", self.file_of(b"")), {})

    def test_refused(self) -> None:
        """The error says where, and repeats nothing."""
        for content, text in (
            (b"X: 1\n\npassword\n", ", line 3: not NAME: VALUE"),
            (b": password\n", ", line 1: not NAME: VALUE"),
            (b"pass\0word: 1\n", ", line 1: not NAME: VALUE"),
            (b"X: \xff", ": not UTF-8"),
        ):
            with self.assertRaises(BadUsage) as caught:
                self.headers("--header-file", self.file_of(content))
            self.assertTrue(str(caught.exception).endswith(text), str(caught.exception))
        with self.assertRaises(BadUsage) as caught:
            self.headers("--header-file", "missing")
        self.assertEqual(str(caught.exception), "cannot read missing: No such file or directory")
