"""
Servers of several processes: how they start, die and end.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from twisted.internet.error import ConnectionDone

from rdv.test.doubles import present
from rdv.test.server.workers.doubles import token_of
from tests.processes import PYTHON, ROOT, Program
from tests.servers import LISTENING, TWIST
from tests.workers import WORKERS, WorkersTestCase


class DeathTests(WorkersTestCase):
    async def test_others_are_unharmed(self) -> None:
        """Its clients are lost, and not theirs; then it is there again."""
        await self.serve_with_workers()
        tokens = [token_of(index, WORKERS) for index in range(WORKERS)]
        pairs = [await self.relayed(token) for token in tokens]
        lonely = [token_of(index, WORKERS, f"{index} waits") for index in range(WORKERS)]
        waiting = [await self.ask(b"ACCEPT", token) for token in lonely]
        for index in range(WORKERS):
            await self.server.line(f"waiting: acceptor {index}")
        for index, pair in enumerate(pairs):
            await self.exchange(pair, b"before %d" % index)
        victim = self.processes()[1]
        os.kill(victim, signal.SIGKILL)
        await self.server.line("worker 1 died: signal 9")
        for wire in pairs[1]:  # no client takes a part for the whole
            await wire.lost()
            self.assertIsNone(present(wire.reason).check(ConnectionDone))
        self.assertEqual(await waiting[1].ended(), b"")
        for index in (0, 2):
            await self.exchange(pairs[index], b"after")
            self.assertIsNone(waiting[index].reason)
        await self.server.line(rf"worker 1 serves as process (?!{victim}$)")
        for index in range(WORKERS):
            await self.exchange(await self.relayed(token_of(index, WORKERS, "new")), b"again")
        dialer = await self.ask(b"DIAL", lonely[2])
        await self.shake_hands(lonely[2], waiting[2], dialer)

    async def test_inbox_outlasts_it(self) -> None:
        """Who was passed on to it is served by its successor."""
        await self.serve_with_workers()
        victim, token = self.processes()[1], token_of(1, WORKERS)
        os.kill(victim, signal.SIGSTOP)
        acceptor, dialer = [await self.ask(method, token) for method in (b"ACCEPT", b"DIAL")]
        for role in ("acceptor", "dialer"):
            await self.server.line(f"passed on: {role} tok… to worker 1")
        os.kill(victim, signal.SIGKILL)
        await self.shake_hands(token, acceptor, dialer)
        await self.exchange((acceptor, dialer), b"words")

    async def test_told_to_everybody(self) -> None:
        """Also without -v: it is a failure. And no more than that."""
        self.server = self.rdv("serve", "-l", "127.0.0.1:0", "--workers", "2")
        found = await self.server.line(LISTENING)
        self.port = int(found[1])
        parent = self.server.transport.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        await self.server.line("worker [01] died: signal 9")
        self.server.signal("TERM")
        self.assertEqual(await self.server.ended, 0)
        self.assertEqual(len(self.server.stderr.splitlines()), 2, self.server.report())


class HangTests(WorkersTestCase):
    async def test_stopped(self) -> None:
        """One that does not go on is replaced, and who has come to its inbox is served."""
        await self.serve_with_workers("--worker-timeout", "2")
        victim, token = self.processes()[1], token_of(1, WORKERS)
        others = [await self.relayed(token_of(index, WORKERS)) for index in (0, 2)]
        os.kill(victim, signal.SIGSTOP)
        acceptor, dialer = [await self.ask(method, token) for method in (b"ACCEPT", b"DIAL")]
        await self.server.line("worker 1 does not respond: killed")
        await self.server.line("worker 1 died: signal 9")
        await self.shake_hands(token, acceptor, dialer)
        await self.exchange((acceptor, dialer), b"words")
        for pair in others:
            await self.exchange(pair, b"words")


class ReportsTests(WorkersTestCase):
    async def test_burst(self) -> None:
        """Nothing is lost of what a worker logs while the parent is busy for a moment."""
        await self.serve_with_workers("--no-limits")
        tokens = [token_of(0, WORKERS, f"{number} of many") for number in range(1000, 1060)]
        await self.relayed(b"the workers accept")
        self.server.signal("STOP")
        for token in tokens[:-1]:
            _, dialer = [await self.ask(method, token) for method in (b"ACCEPT", b"DIAL")]
            await dialer.until(b"HTTP/1.1 101 ")
        self.server.signal("CONT")
        await self.relayed(tokens[-1])
        await self.server.line("matched: dialer 1059")
        found = re.findall(rb"matched: dialer (\d+)", self.server.stderr)
        self.assertEqual(found, [token[:4] for token in tokens])


class EndTests(WorkersTestCase):
    async def test_nobody_can_be_started(self) -> None:
        """A supervisor shall know, whichever command it was."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        broken = folder / "sitecustomize.py"
        code = "import os, sys\nif 'rdv.server.workers.worker' in sys.orig_argv: os._exit(7)\n"
        environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
        twist = (
            "--log-format",
            "text",
            "rdv",
            "--port",
            "tcp:0:interface=127.0.0.1",
            "--workers",
            "2",
        )
        for command in (
            (PYTHON, "-m", "rdv", "-v", "serve", "-l", "127.0.0.1:0", "--workers", "2"),
            (TWIST, *twist),
        ):
            broken.write_text("")
            server = Program(self, *command, env=environment)
            found = [
                int((await server.line(rf"worker {index} serves as process (\d+)"))[1])
                for index in range(2)
            ]
            broken.write_text(code)
            for pid in found:
                os.kill(pid, signal.SIGKILL)
            self.assertEqual(await server.ended, 1, server.report())
            said = server.stderr + server.stdout
            self.assertIn(b" did not start: exit status 7", said)


class ParentTests(WorkersTestCase):
    async def test_nobody_is_left(self) -> None:
        """Its workers go, too: their output ends."""
        await self.serve_with_workers("--drain", "0")
        pair = await self.relayed(b"token")
        await self.ask(b"ACCEPT", b"another")
        self.server.signal("KILL")
        self.assertEqual(await self.server.ended, -signal.SIGKILL)
        for wire in pair:
            await wire.lost()

    async def test_its_successor(self) -> None:
        """It gets the port at once, while the workers let their pairs end."""
        await self.serve_with_workers("--drain", "600")
        orphans = self.server
        pairs = [await self.relayed(token_of(index, WORKERS)) for index in range(WORKERS)]
        orphans.signal("KILL")
        os.waitid(os.P_PID, present(orphans.transport.pid), os.WEXITED | os.WNOWAIT)
        for turn in range(3):  # the end of the parent comes first
            for pair in pairs:
                await self.exchange(pair, b"turn %d" % turn)
        await self.serve_with_workers(listen=f"127.0.0.1:{self.port}")
        await self.exchange(await self.relayed(b"token"), b"words")
        self.assertIsNone(orphans.exit_code)
        for pair in pairs:
            await self.exchange(pair, b"the last words")
            for wire in pair:
                wire.transport.loseConnection()  # type: ignore[union-attr]
        self.assertEqual(await orphans.ended, -signal.SIGKILL)

    async def test_worker_that_hears_signals(self) -> None:
        """A terminal sends them to all of the group: nobody is told twice."""
        await self.serve_with_workers("--drain", "600")
        pair = await self.relayed(b"token")
        for name in (signal.SIGINT, signal.SIGTERM):
            for pid in self.processes():
                os.kill(pid, name)
        self.server.signal("INT")
        for index in range(WORKERS):
            await self.server.line(rf"\[worker {index}, .*told to stop: ")
        await self.exchange(pair, b"words")
        self.server.signal("INT")
        for wire in pair:
            await wire.lost()
        self.assertEqual(await self.server.ended, 0)
