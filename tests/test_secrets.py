"""
Where the commands get secrets from, and what they do without. For where secrets must not appear,
see :mod:`tests.test_secrets_hidden`.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from shutil import copy

from tests.documents import Shell, replaced, runs
from tests.forwarding import ForwardingTestCase
from tests.processes import PYTHON, Program
from tests.secure import STEADY, SecureTestCase, secured
from tests.servers import CONNECTED, DIRECT, RELAYED

SCRIPTS = "docs/howto/scripts.rst"
#: A printed secret, and the placeholder where it must not be shown.
SECRET = r"rdvs1-[a-z2-7]{32}"
PATH = r"(?:p2p|relay)"
STDIN = ("--token-file", "-")
NOTICE = b"NOTICE: this stream is not encrypted"


class MakingTests(ForwardingTestCase):
    """
    A command that waits without a token generates a secret, and prints a command for the peer; that
    command connects as it is.
    """

    def setUp(self) -> None:
        self.shell = Shell(self)

    def on_the_other_side(self, program: Program) -> str:
        """The command that was printed."""
        (command,) = re.findall(rb"^On the other side.*: (rdv .*)$", program.stderr, re.MULTILINE)
        return str(command.decode())

    async def test_token(self) -> None:
        """``rdv token`` prints another one each time, and loads nothing of Twisted for that."""
        programs = [Program(self, PYTHON, "-X", "importtime", "-m", "rdv", "token") for _ in "12"]
        for program in programs:
            self.assertEqual(await program.ended, 0, program.report())
            self.assertRegex(program.stdout.decode(), f"^{SECRET}\n$")
            self.assertIn(b"rdv._secure.secret", program.stderr)
            for module in (b"twisted", b"zope", b"OpenSSL"):
                self.assertNotIn(module, program.stderr)
        self.assertNotEqual(*(bytes(program.stdout) for program in programs))

    async def test_accept(self) -> None:
        await self.serve()
        acceptor = self.rdv("accept", self.url)
        await acceptor.line("^On the other side: ")
        command = self.on_the_other_side(acceptor)
        self.assertRegex(command, f"^rdv dial {self.url} {SECRET}$")
        dialer = self.shell.start(command)
        for client, content in ((acceptor, b"there"), (dialer, b"back")):
            client.write(content)
            client.close_stdin()
        said = rf"CONNECTED: {PATH} \S+, secure, \d+ms"
        await self.assert_ended(dialer, 0, said)
        await self.assert_ended(acceptor, 0, "On the other side: .*", said)
        self.assertEqual((acceptor.stdout, dialer.stdout), (b"back", b"there"))

    async def test_own_authority(self) -> None:
        """The other side needs a copy of the certificate, and uses the relay too."""
        await self.serve_https()
        acceptor = self.rdv("accept", "-r", *self.trust, self.url)
        path = Path(self.trust[1])
        await acceptor.line(f"^On the other side, with a copy of {path}: ")
        command = self.on_the_other_side(acceptor)
        self.assertRegex(command, f"^rdv dial -r --ca {path.name} {self.url} {SECRET}$")
        copy(path, self.shell.folder)
        dialer = self.shell.start(command)
        await dialer.line(secured("relay"))
        acceptor.close_stdin()
        dialer.close_stdin()
        self.assertEqual([await acceptor.ended, await dialer.ended], [0, 0], dialer.report())

    async def test_expose(self) -> None:
        await self.serve()
        await self.target()
        exposing = self.rdv("expose", self.url, self.where)
        await exposing.line("^On the other side: ")
        command = self.on_the_other_side(exposing)
        port = self.where.rpartition(":")[2]
        self.assertRegex(command, f"^rdv connect {self.url} {SECRET} --listen {port}$")
        # On this host the target has that port already.
        connecting = self.shell.start(replaced(command, (f"--listen {port}", "--listen 0")))
        self.listening = (await connecting.line("^LISTENING: (.*)$"))[1]
        await self.check_both_ways(*await self.forward(), b"there", b"back")
        for program in (exposing, connecting):
            await program.line(rf"^CONNECTED 1: {PATH} \S+, secure, \d+ms$")


class GivenTests(SecureTestCase):
    """In a file, on stdin, or in the environment."""

    timeout = 180

    async def check(self, dialer: Program, came: bytes = b"hello") -> None:
        """It meets an acceptor that has it on its command line."""
        acceptor = self.accept(*STEADY, stdin=self.opened(os.devnull))
        await self.assert_ended(dialer, 0, secured("p2p"))
        await self.assert_ended(acceptor, 0, secured("p2p"))
        self.assertEqual(acceptor.stdout, came)
        self.assertEqual(dialer.stdout, b"")

    def dial_without(self, *options: str, content: bytes, **environment: str) -> Program:
        return Program(
            self,
            *(PYTHON, "-m", "rdv", "dial", *DIRECT, *options),
            env=environment,
            stdin=self.opened(self.file_of(content)),
        )

    async def test_file(self) -> None:
        await self.serve()
        for end in ("", "\n", "\r\n", "\nmore\n"):
            path = self.file_of(f"{self.secret}{end}".encode())
            await self.check(self.dial_without("--token-file", path, self.url, content=b"hello"))

    async def test_stdin(self) -> None:
        """Its first line; the rest goes to the peer, whatever it is."""
        await self.serve()
        rest = bytes(range(256)) * 1000
        for content, came in (
            (b"", b""),
            (b"\n", b""),
            (b"\nhello", b"hello"),
            (b"\n" + rest, rest),
        ):
            stdin = self.secret.encode() + content
            await self.check(self.dial_without(*STDIN, self.url, content=stdin), came)

    async def test_stdin_is_a_pipe(self) -> None:
        """Of which the line comes first, and the rest later."""
        await self.serve()
        dialer = self.rdv("dial", *DIRECT, *STDIN, self.url)
        dialer.write(self.secret.encode())
        dialer.write(b"\nhel")
        acceptor = self.accept(*STEADY, stdin=self.opened(os.devnull))
        self.assertEqual(await acceptor.received(3), b"hel")
        dialer.write(b"lo")
        dialer.close_stdin()
        for client in (acceptor, dialer):
            await self.assert_ended(client, 0, secured("p2p"))
        self.assertEqual(acceptor.stdout, b"hello")

    async def test_environment(self) -> None:
        await self.serve()
        token = {"RDV_TOKEN": self.secret}
        await self.check(self.dial_without(self.url, content=b"hello", **token))
        await self.check(self.dial_without(content=b"hello", RDV_SERVER=self.url, **token))
        server = {"RDV_SERVER": self.url}
        await self.check(self.dial_without(self.secret, content=b"hello", **server))

    @runs(SCRIPTS, "--header-file")
    async def test_script(self, script: str) -> None:
        """As the document has it."""
        await self.serve()
        shell = Shell(self)
        for name, content in (
            (".rdv-secret", self.secret),
            (".rdv-headers", "Authorization: Basic eDp5\n"),
            ("photos.tar", "hello"),
        ):
            (shell.folder / name).write_text(content)
        here = ("https://example.com", self.url), ("~", "."), ("dial", f"dial {' '.join(DIRECT)}")
        await self.check(shell.script(replaced(script, *here)))


class PlainTests(SecureTestCase):
    """A stream that is not encrypted is refused, or reported as such."""

    async def test_refused(self) -> None:
        """Before anything is asked."""
        url = f"http://127.0.0.1:{self.taken_port()}/"
        for arguments in (
            ("dial", url, "a plain token"),
            ("accept", url, "a plain token"),
            ("expose", url, "a plain token", "80"),
            ("connect", url, "a plain token", "--listen", "0"),
        ):
            program = self.rdv(*arguments, "--secure")
            self.assertEqual(await program.ended, 2, program.report())
            self.assertEqual(program.stderr.count(b"\n"), 1, program.report())
            self.assertNotIn(b"plain token", program.stderr)

    async def test_broken_secrets(self) -> None:
        """What looks like a secret is never used as a token, nor repeated."""
        url = f"http://127.0.0.1:{self.taken_port()}/"
        wrong = self.secret[:-1] + ("a" if self.secret[-1] != "a" else "b")
        for token in (wrong, self.secret[:-3], self.secret.replace("rdvs1", "RDVS2"), "rdvs1-"):
            program = self.rdv("dial", url, token)
            self.assertEqual(await program.ended, 2, program.report())
            self.assertNotIn(token[6:12] or "rdvs1-x", program.stderr.decode())

    async def test_said_once(self) -> None:
        """On stderr, and not to who wants errors only."""
        await self.serve()
        for options, path in ((DIRECT, "p2p"), (RELAYED, "relay")):
            acceptor = self.accept(*options, token="a plain token")
            dialer = self.dial(*options, "--quiet", token="a plain token")
            for client in (acceptor, dialer):
                client.write(b"hello")
                client.close_stdin()
            await self.assert_ended(acceptor, 0, CONNECTED.format(path))
            await self.assert_ended(dialer, 0)
            self.assertEqual(acceptor.stderr.count(NOTICE), 1)
            self.assertEqual(dialer.stderr.count(NOTICE), 0)

    async def test_json(self) -> None:
        """A program learns the same."""
        await self.serve()
        for token, notices in (("a plain token", 1), (self.secret, 0)):
            clients = [each(*DIRECT, "--json", token=token) for each in (self.accept, self.dial)]
            for client in clients:
                client.write(b"hello")
                client.close_stdin()
            for client in clients:
                self.assertEqual(await client.ended, 0, client.report())
                events = [json.loads(line) for line in client.stderr.splitlines()]
                (connected,) = [each for each in events if each["event"] == "connected"]
                self.assertIs(connected["secure"], not notices)
                said = [each for each in events if "not encrypted" in each.get("message", "")]
                self.assertEqual(len(said), notices)
