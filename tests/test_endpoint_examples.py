"""
The examples that take the description of an endpoint are run, as the text at their head says.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.conch.ssh.keys import FingerprintFormats, Key

from tests.documents import serve
from tests.processes import PYTHON, ROOT, Program
from tests.test_examples import DIRECT, RELAYED, ExampleTestCase


def described(url: str, space: str = RELAYED) -> str:
    """An endpoint, as on a command line."""
    escaped = url.replace(":", r"\:")
    return f"rdv:{escaped}:token=xyzzy:spaces={space}"


class EndpointExampleTestCase(ExampleTestCase):
    """Those that take the description of an endpoint."""

    def setUp(self) -> None:
        self.url = serve(self)

    async def both(self, name: str, server: str, client: tuple[str, ...], *lines: str) -> None:
        """Run a server, and a client that prints these lines, on each kind of path."""
        for space in (RELAYED, DIRECT):
            description = described(self.url, space).replace("xyzzy", f"xyzzy-{space}")
            serving = self.run_example(name, server, description)
            program = self.run_example(name, client[0], description, *client[1:])
            self.assertEqual(await program.ended, 0, program.report())
            self.assertEqual(program.stdout.decode().splitlines(), list(lines))
            serving.signal("INT")
            await serving.ended
            self.assertEqual(serving.stderr.decode(), "")


class AMPTests(EndpointExampleTestCase):
    """``amp.py``."""

    async def test_amp(self) -> None:
        """Two questions at once."""
        await self.both(
            "amp", "answer", ("ask", "13", "29"), "the peer says: 42", "the peer says: -16"
        )


class AsyncioTests(EndpointExampleTestCase):
    """``asyncio_program.py``."""

    async def test_asyncio_program(self) -> None:
        """asyncio's streams, with a half-close."""
        line = "the peer says: IS ANYBODY THERE?"
        await self.both("asyncio_program", "serve", ("ask",), line)


class WebTests(EndpointExampleTestCase):
    """``web_client.py``, and ``twist web`` for it."""

    async def test_web_client(self) -> None:
        """Several pages at once."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "notes.txt").write_text("x" * 100_000)
        for space in (RELAYED, DIRECT):
            where = described(self.url, space).replace("xyzzy", f"xyzzy-{space}")
            argv = ("-m", "twisted", "web", "--listen", where, "--path", str(folder.absolute()))
            serving = Program(self, PYTHON, *argv, env={"PYTHONPATH": str(ROOT)})
            pages = ["/notes.txt"] * 5 + ["/missing"]
            program = self.run_example("web_client", where, *pages)
            self.assertEqual(await program.ended, 0, program.report())
            lines = sorted(program.stdout.decode().splitlines())
            self.assertRegex(lines[0], r"^/missing: 404, \d+ bytes$")
            self.assertEqual(lines[1:], ["/notes.txt: 200, 100000 bytes"] * 5)
            serving.signal("TERM")
            await serving.ended


class SSHTests(EndpointExampleTestCase):
    """``ssh_session.py``, and ``twist manhole`` for it."""

    def host_key(self, folder: Path) -> str:
        """Make one; return its fingerprint."""
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (folder / "host.key").write_bytes(pem)
        shown: str = Key(private).fingerprint(FingerprintFormats.SHA256_BASE64)
        return "SHA256:" + shown.rstrip("=")

    async def test_ssh_session(self) -> None:
        """A line to a Python shell; and nothing to one with another host key."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        fingerprint = self.host_key(folder)
        (folder / "users").write_text("alice:secret\n")
        where = described(self.url)
        keys = ("--sshKeyDir", str(folder), "--sshKeyName", "host.key")
        argv = ("manhole", "--sshPort", where, "--passwd", str(folder / "users"), *keys)
        serving = Program(self, PYTHON, "-m", "twisted", *argv, env={"PYTHONPATH": str(ROOT)})
        login = ("alice", "secret")
        program = self.run_example("ssh_session", where, *login, fingerprint, "6 * 7")
        self.assertEqual(await program.ended, 0, program.report())
        self.assertIn("42", program.stdout.decode().splitlines())
        program = self.run_example("ssh_session", where, *login, "SHA256:other", "6 * 7")
        self.assertEqual(await program.ended, 1, program.report())
        self.assertEqual(program.stdout, b"")
        await program.line("^no session: ")
        serving.signal("TERM")
        await serving.ended
