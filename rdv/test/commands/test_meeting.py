"""
Tests of :mod:`rdv.commands.meeting`.
"""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.secret import Secret
from rdv._stdio.console import Console, Form
from rdv.commands.arguments import parse
from rdv.commands.client import servers_of
from rdv.commands.meeting import settle
from rdv.commands.running import BadUsage
from rdv.errors import BadSecret, BadToken, BadURL

URL = "http://example.com/rdv"
SECRET = Secret(bytes(range(16))).reveal()


class Told(Console):
    """Records what it was told."""

    def __init__(self, form: Form = Form.TEXT) -> None:
        super().__init__(form)
        self.lines: list[str] = []

    def tell(self, event: str, text: str = "", **fields: object) -> None:
        self.lines.append(text)


class SettleTests(SynchronousTestCase):
    """Where the URL and the token come from."""

    def settle(self, *words: str, form: Form = Form.TEXT, **environment: Any) -> Namespace:
        """The arguments of a command line, settled."""
        self.console = Told(form)
        arguments = parse(words, form)
        settle(arguments, self.console, environment)
        return arguments

    def meeting(self, *words: str, **environment: Any) -> tuple[str, str]:
        """URL and token."""
        arguments = self.settle(*words, **environment)
        return arguments.url, arguments.token

    def refused(self, text: str, *words: str, form: Form = Form.TEXT, **environment: Any) -> None:
        """It is wrong usage, and the error says why."""
        with self.assertRaises(BadUsage) as caught:
            self.settle(*words, form=form, **environment)
        self.assertIn(text, str(caught.exception))

    def test_arguments(self) -> None:
        """Given, both are as given."""
        for words in (["dial", URL, SECRET], ["connect", "-l", "0", URL, SECRET]):
            self.assertEqual(self.meeting(*words), (URL, SECRET))
            self.assertEqual(self.console.lines, [])
        arguments = self.settle("expose", URL, SECRET, "127.0.0.1:80")
        self.assertEqual((arguments.token, arguments.target), (SECRET, "127.0.0.1:80"))

    def test_server_of_the_environment(self) -> None:
        """It is asked when no URL is given."""
        for words in (["dial", SECRET], ["expose", SECRET, "80"]):
            self.assertEqual(self.meeting(*words, RDV_SERVER=URL), (URL, SECRET))
        other = "https://other.example.com"
        self.assertEqual(self.meeting("dial", other, SECRET, RDV_SERVER=URL), (other, SECRET))
        self.assertEqual(
            self.meeting("dial", other, RDV_SERVER=URL, RDV_TOKEN=SECRET), (other, SECRET)
        )
        self.refused("no server", "dial")
        self.refused("no server", "expose", "80", RDV_TOKEN=SECRET)

    def test_several_servers(self) -> None:
        """Joined by commas, on the command line or in the environment."""
        more = f"{URL},https://b.example/rdv"
        self.assertEqual(self.meeting("dial", more, SECRET), (more, SECRET))
        self.assertEqual(self.meeting("dial", SECRET, RDV_SERVER=more), (more, SECRET))
        arguments = parse(["dial", f"{URL}, https://b.example/rdv", SECRET])
        self.assertEqual(servers_of(arguments), [URL, "https://b.example/rdv"])
        self.assertEqual(servers_of(parse(["dial", URL, SECRET])), URL)
        for wrong in (f"b.example,{URL}", f"{URL},http://", "http://a,http://b,ftp://c"):
            self.assertRaises(BadURL, self.settle, "dial", wrong, SECRET)

    def test_token_of_the_environment(self) -> None:
        """It is used when none is given."""
        self.assertEqual(self.meeting("dial", URL, RDV_TOKEN=SECRET), (URL, SECRET))
        self.assertEqual(self.meeting("dial", URL, "x" * 16, RDV_TOKEN=SECRET)[1], "x" * 16)

    def test_token_of_a_file(self) -> None:
        """Its first line; and it cannot be given twice."""
        path = self.mktemp()
        for content in (f"{SECRET}\n", f"{SECRET}\r\nmore\n", SECRET):
            with open(path, "w", newline="") as file:
                file.write(content)
            found = self.meeting("accept", URL, "--token-file", path, RDV_TOKEN="other")
            self.assertEqual(found, (URL, SECRET))
        self.refused("give only one of them", "dial", URL, "t", "--token-file", path)
        self.refused("cannot read /none: No such", "dial", URL, "--token-file", "/none")
        with open(path, "wb") as file:
            file.write(b"\xff\n")
        self.refused("not UTF-8", "dial", URL, "--token-file", path)

    def test_token_of_stdin(self) -> None:
        """The first line, and no byte more: the rest is for the peer."""
        reading, writing = os.pipe()
        stdin = os.dup(0)
        self.addCleanup(os.close, stdin)
        self.addCleanup(os.dup2, stdin, 0)
        os.dup2(reading, 0)
        os.close(reading)
        os.write(writing, f"{SECRET}\ndata".encode())
        os.close(writing)
        self.assertEqual(self.meeting("dial", URL, "--token-file", "-"), (URL, SECRET))
        self.assertEqual(os.read(0, 100), b"data")
        self.assertRaises(BadToken, self.meeting, "dial", URL, "--token-file", "-")  # at the end

    def test_made(self) -> None:
        """Who waits and has none makes a secret, and says what to run elsewhere."""
        for words, command in (
            (["accept", URL], f"rdv dial {URL} {{}}"),
            (["expose", URL, "127.0.0.1:5432"], f"rdv connect {URL} {{}} --listen 5432"),
            (["expose", URL, "80"], f"rdv connect {URL} {{}} --listen 0"),
            (["expose", URL, "unix:a"], f"rdv connect {URL} {{}} --listen 0"),
            (["accept", f"{URL}?a=b&c"], f"rdv dial '{URL}?a=b&c' {{}}"),
        ):
            arguments = self.settle(*words)
            Secret.parse(arguments.token)
            (line,) = self.console.lines
            self.assertEqual(line, f"On the other side: {command.format(arguments.token)}")

    def test_options(self) -> None:
        """What the other side needs to reach the server, and to use the same addresses."""
        whole = ("--ca", "my certs/ca.pem", "--cert", "me.pem", "--header", "Password: abc")
        for options, needs, carried in (
            (["--timeout", "9", "--penalty", "1", "--local-port", "5000"], "", ""),
            (["-r"], "", "-r "),
            (["-r", "--spaces", "all"], "", "-r "),
            (["--spaces", "public4,loopback"], "", "--spaces public4,loopback "),
            (["--ca", "ca.pem"], ", with a copy of ca.pem", "--ca ca.pem "),
            (["--ca", "/etc/a b.pem"], ", with a copy of /etc/a b.pem", "--ca 'a b.pem' "),
            (["--header-file", "h"], ", with its own --header", ""),
            (
                ["-r", *whole],
                ", with a copy of my certs/ca.pem and its own --cert and --header",
                "-r --ca ca.pem ",
            ),
        ):
            token = self.settle("accept", *options, URL).token
            expected = f"On the other side{needs}: rdv dial {carried}{URL} {token}"
            self.assertEqual(self.console.lines, [expected])
            parse(shlex.split(expected.partition(": rdv ")[2]))
        token = self.settle("expose", "-r", URL, "8080").token
        command = f"rdv connect -r {URL} {token} --listen 8080"
        self.assertEqual(self.console.lines, [f"On the other side: {command}"])

    def test_wrong_spaces(self) -> None:
        """As with a wrong URL."""
        self.refused("not an address space", "accept", "--spaces", "moon", URL)
        self.assertEqual(self.console.lines, [])

    def test_wrong_url(self) -> None:
        """It is told before a secret is made for it."""
        for words in (["accept", "ftp://x/"], ["expose", "ftp://x/", "80"], ["dial", "x", SECRET]):
            self.assertRaises(BadURL, self.settle, *words)
            self.assertEqual(self.console.lines, [])

    def test_not_made(self) -> None:
        """Not for who dials, nor where nobody would see it."""
        self.refused("no token: give TOKEN", "dial", URL)
        self.refused("as in: rdv dial -- URL -TOKEN", "dial", URL, "-vq")
        self.refused("no token: give TOKEN", "connect", "-l", "0", URL)
        for form, flag in ((Form.QUIET, "-q"), (Form.JSON, "--json")):
            self.refused("no terminal", "accept", URL, flag, form=form)

    def test_plain(self) -> None:
        """A plain stream is said to be one."""
        for token, guessable in (("x" * 15, True), ("x" * 16, False)):
            self.settle("dial", URL, token)
            (line,) = self.console.lines
            self.assertTrue(line.startswith("NOTICE: this stream is not encrypted"))
            self.assertEqual("can be guessed" in line, guessable)

    def test_unreadable_secret(self) -> None:
        """It is not taken for a plain token."""
        self.assertRaises(BadSecret, self.settle, "dial", URL, SECRET[:-1])

    def test_secret_in_another_place(self) -> None:
        """The error does not show it."""
        for words in ((SECRET, URL), (SECRET.upper(),), ("--token-file", SECRET, URL)):
            with self.assertRaises(BadUsage) as caught:
                self.settle("dial", *words)
            self.assertNotIn(SECRET[10:20], str(caught.exception).lower())
            self.assertIn("secret", str(caught.exception))

    def test_secure(self) -> None:
        """Nothing plain, of any command: ``connect`` would learn of it with its first forward."""
        for words in (["dial"], ["connect", "-l", "0"]):
            self.assertRaises(BadSecret, self.settle, *words, URL, "plain", "--secure")
            self.assertEqual(self.console.lines, [])
            self.settle(*words, URL, SECRET, "--secure")
