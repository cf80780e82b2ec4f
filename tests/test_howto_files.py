"""
The pages about files and scripts do what they say: each of their blocks is run, or compared with
what the commands say.
"""

from __future__ import annotations

import json
import re

from twisted.trial.unittest import TestCase

from rdv import Secret
from rdv._stdio.console import Console
from rdv._stdio.progress import Progress, load, size_text
from rdv.client.trace import What
from rdv.test.stdio.test_progress import DescriptorTestCase
from tests.documents import SECRET, Shell, made_by, replaced, runs, serve, shape
from tests.processes import ROOT, Program
from tests.servers import CONNECTED, MEGABYTE, digest, noise

FILES, SCRIPTS = "docs/howto/files.rst", "docs/howto/scripts.rst"
EXAMPLE = "http://example.com:8080"
LOOPBACK = "--spaces loopback"


class HowToTestCase(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)
        self.url = serve(self).removesuffix("/rdv")

    def here(self, command: str) -> str:
        """A command with this server's address, and with addresses that are good here."""
        role = "accept" if "rdv accept" in command else "dial"
        return replaced(command, (EXAMPLE, self.url), (f"rdv {role}", f"rdv {role} {LOOPBACK}"))

    async def check(self, status: int, *programs: Program) -> None:
        """All end with that status."""
        for program in programs:
            self.assertEqual(await program.ended, status, program.report())


class FilesTests(HowToTestCase):
    @runs(FILES, "</dev/null >photos.zip", "<photos.zip")
    async def test_file(self, receive: str, send: str) -> None:
        """It arrives, in another folder."""
        content = noise(1, MEGABYTE)
        (self.shell.folder / "photos.zip").write_bytes(content)
        there = Shell(self)
        receiver = there.start(self.here(receive))
        sender = self.shell.start(replaced(self.here(send), (SECRET, await made_by(receiver))))
        await self.check(0, receiver, sender)
        self.assertEqual((there.folder / "photos.zip").read_bytes(), content)

    @runs(FILES, "| tar -x", "tar -c photos", "set -o pipefail")
    async def test_folder(self, receive: str, send: str, option: str) -> None:
        """All of its files arrive; who looks at each program of a pipeline sees that one failed."""
        photos = self.shell.folder / "photos"
        photos.mkdir()
        for number in range(3):
            (photos / f"{number}.jpg").write_bytes(noise(number, MEGABYTE))
        there = Shell(self)
        receiver = there.script(self.here(receive))
        sender = self.shell.script(replaced(self.here(send), (SECRET, await made_by(receiver))))
        await self.check(0, receiver, sender)
        for path in photos.iterdir():
            self.assertEqual(digest(str(there.folder / "photos" / path.name)), digest(str(path)))
        for lines, status in (("false | cat", 0), (f"{option}\nfalse | cat", 1)):
            program = Program(self, "/bin/bash", "-c", lines)
            self.assertEqual(await program.ended, status)

    @runs(FILES, "pip install")
    async def test_install(self, command: str) -> None:
        """From the checkout, as README does it; the extra is there."""
        self.assertEqual(command, "pip install '.[progress]'")
        self.assertIn('"progress": PROGRESS', (ROOT / "setup.py").read_text())


class ShownTests(DescriptorTestCase):
    """The bar on the page looks like the real one."""

    @runs(FILES, "sent  45%", "received 450MB", "SENT: 1.00GB")
    def test_shown(self, known: str, unknown: str, summary: str) -> None:
        connected, bar = known.splitlines()
        self.assertEqual(shape(connected), shape("CONNECTED: p2p 1.2.3.4:5, secure, 6ms"))
        self.assertRegex(CONNECTED.format("p2p"), "^CONNECTED: p2p ")
        # The same numbers, through the program's own line.
        moved, size, rate = 450_000_000, 1_000_000_000, 85_300_000
        shown = Progress(Console(), load, self.file(size), self.null())
        draw = load()
        assert draw is not None
        line = shown.line(draw, (moved, 0), (rate, 0), 5.3, len(bar))
        self.assertEqual(line, bar)
        shown = Progress(Console(), load, self.null(), self.file())
        self.assertEqual(shown.line(draw, (0, moved), (0, rate), 5.3, 80), unknown)
        self.assertEqual(summary, f"SENT: {size_text(size)} in 11.7s, {size_text(rate)}/s")


class ScriptsTests(HowToTestCase):
    @runs(SCRIPTS, "if rdv accept", "rdv token")
    async def test_script(self, script: str, token: str) -> None:
        """It unpacks what has come, and not what has come in part."""
        await self.check(0, self.shell.script(token))
        (self.shell.folder / "a.jpg").write_bytes(b"a photo")
        pack = self.shell.script("tar -cf sent.tar a.jpg && rm a.jpg")
        await self.check(0, pack)
        secret = (self.shell.folder / "photos.secret").read_text().strip()
        send = f"rdv dial {LOOPBACK} {self.url} {secret} <sent.tar >/dev/null"
        await self.check(0, self.shell.script(self.here(script)), self.shell.start(send))
        photo = self.shell.folder / "a.jpg"
        self.assertEqual(photo.read_bytes(), b"a photo")
        photo.unlink()
        impatient = replaced(self.here(script), ("--quiet", "--quiet --timeout 0.5"))
        receiver = self.shell.script(impatient)
        await receiver.line("^status 1: photos.tar is not complete$")
        await self.check(0, receiver)
        self.assertFalse(photo.exists())

    @runs(SCRIPTS, "while read")
    async def test_loop(self, script: str) -> None:
        """Each secret of the list gets its file."""
        secrets = {name: Secret.generate().reveal() for name in ("one", "two")}
        lines = "".join(f"{name} {secret}\n" for name, secret in secrets.items())
        (self.shell.folder / "secrets.txt").write_text(lines)
        loop = self.shell.script(self.here(script))
        for name, secret in secrets.items():
            send = f"echo {name} | rdv dial {LOOPBACK} {self.url} {secret}"
            await self.check(0, self.shell.script(send))
        await self.check(0, loop)
        for name in secrets:
            received = (self.shell.folder / f"{name}.tar").read_text()
            self.assertEqual(received, f"{name}\n")

    @runs(SCRIPTS, "json.loads", "python send.py", "all sent in 0.1")
    async def test_program(self, source: str, command: str, output: str) -> None:
        """A file goes, and it says how far it is; when nobody listens it says that."""
        # On a busy host a stream may begin on the relay, and be over before it has moved.
        options = ("--json", "--no-move", *LOOPBACK.split())
        here = ('"--json",', "".join(f"{option!r}, " for option in options))
        (self.shell.folder / "send.py").write_text(replaced(source, here))
        content = noise(1, MEGABYTE)
        (self.shell.folder / "photos.tar").write_bytes(content)
        await self.check(0, self.shell.script("rdv token >photos.secret"))
        accept = f"rdv accept --token-file photos.secret {LOOPBACK} {self.url} </dev/null"
        receiver = self.shell.start(accept)
        sender = self.shell.script(replaced(command, (EXAMPLE, self.url)))
        await self.check(0, receiver, sender)
        self.assertEqual(receiver.stdout, content)
        # On a busy host a second may pass on the way.
        said = re.sub(r"^\d?\d%\n", "", sender.stdout.decode(), flags=re.M)
        self.assertEqual(shape(said), shape(output))
        failing = self.shell.script(replaced(command, (EXAMPLE, "http://127.0.0.1:1")))
        await self.check(1, failing)
        self.assertIn(b"it did not work: cannot reach", failing.stdout)

    async def test_events(self) -> None:
        """The tables have all events but those of a trace, with all their fields."""
        page = (ROOT / SCRIPTS).read_text()
        rows = re.findall(r"^``(\w+)`` {2,}(.*(?:\n {16}.*)*)", page, re.M)
        fields = {name: set(re.findall(r"``(\w+)``", text)) for name, text in rows}
        acceptor = self.shell.start(f"rdv accept --json -v {LOOPBACK} {self.url} T </dev/null")
        dialer = self.shell.start(f"echo hi | rdv dial --json {LOOPBACK} {self.url} T")
        bad = self.shell.start("rdv dial --json http://127.0.0.1:1 T </dev/null")
        await self.check(0, acceptor, dialer)
        await self.check(1, bad)
        lines = [*acceptor.stderr.splitlines(), *dialer.stderr.splitlines()]
        seen = set()
        dials = {"dialled": 1, "refused": 1}
        for event in map(json.loads, [*lines, *bad.stderr.splitlines()]):
            name = event["event"]
            seen.add(name)
            if name in fields:
                told = set(event) - {"event", "time"}
                self.assertLessEqual(told, fields[name] | {"observed"}, name)
            else:
                self.assertIn(name, list(What))
                self.assertEqual(event.get("dial"), dials.get(name))
        rare = {"notice", "explained", "waiting", "moved", "trouble", "back"}
        self.assertLessEqual(set(fields) - rare, seen)
