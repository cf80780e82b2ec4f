"""
``rdv dial --json`` and ``rdv accept --json``: every line on stderr is an event, in good order.
"""

from __future__ import annotations

import json
import os
from typing import Any

from tests.processes import Program
from tests.servers import DIRECT, MEGABYTE, RELAYED, SystemTestCase, noise

JSON = ("--json",)
#: The events of a stream, without those that a trace adds and that differ from case to case.
STREAM = ["lobby", "candidates", "connected"]


class JSONTestCase(SystemTestCase):
    """Programs that tell events."""

    async def events(self, program: Program, status: int) -> list[dict[str, Any]]:
        """All events of a program that ends with that status; the last one says so too."""
        self.assertEqual(await program.ended, status, program.report())
        events = [json.loads(line) for line in program.stderr.splitlines()]
        for event in events:
            self.assertIsInstance(event["event"], str)
            self.assertIsInstance(event["time"], float)
        names = [event["event"] for event in events]
        self.assertEqual(names.count("end"), 1)
        self.assertEqual((names[-1], events[-1]["status"]), ("end", status))
        self.assertEqual(names.count("failed"), int(status != 0))
        return events

    def named(self, events: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
        """Those with these names."""
        return [event for event in events if event["event"] in names]

    def assert_order(self, events: list[dict[str, Any]], *names: str) -> None:
        """Of all that are documented as steps these have come, once each, in this order."""
        steps = {*STREAM, "begun", "failed", "end"}
        came = [event["event"] for event in events if event["event"] in steps]
        self.assertEqual(came, list(names))

    def assert_failed(self, events: list[dict[str, Any]], status: int, pattern: str) -> None:
        """It says why."""
        (failed,) = self.named(events, "failed")
        self.assertEqual(failed["status"], status)
        self.assertRegex(failed["message"], pattern)


class StreamTests(JSONTestCase):
    """A file and its answer."""

    async def check_stream(self, path: str, *options: str) -> None:
        """Both sides tell where they are, and how much has moved."""
        await self.serve()
        size, answer = 8 * MEGABYTE + 1, MEGABYTE + 1
        target, stdout = self.created()
        files = [self.file_of(noise(seed, count)) for seed, count in ((1, size), (2, answer))]
        acceptor = self.accept(*options, *JSON, stdin=self.opened(files[1]), stdout=stdout)
        dialer = self.dial(*options, *JSON, stdin=self.opened(files[0]))
        for program, sent, received in ((dialer, size, answer), (acceptor, answer, size)):
            events = await self.events(program, 0)
            self.assert_order(events, "begun", *STREAM, "end")
            (connected,) = self.named(events, "connected")
            self.assertEqual(connected["path"], path)
            self.assertRegex(connected["peer"], r"^(127\.0\.0\.1|\[::1\]):\d+$")
            (candidates,) = self.named(events, "candidates")
            self.assertEqual(candidates["observed"], connected["observed"])
            for address in candidates["peer_addresses"]:
                self.assertRegex(address, r"^\S+:\d+$")
            for event in self.named(events, "bytes"):
                self.assertLessEqual(event["sent"], sent)
                self.assertLessEqual(event["received"], received)
            for event in (self.named(events, "bytes")[-1], events[-1]):
                self.assertEqual((event["sent"], event["received"]), (sent, received))
            self.assertEqual([event["event"] for event in events[-2:]], ["bytes", "end"])
            self.assertGreater(events[-1]["seconds"], 0)
        self.assertEqual(os.path.getsize(target), size)
        self.assertEqual(len(dialer.stdout), answer)

    async def test_direct(self) -> None:
        await self.check_stream("p2p", *DIRECT)

    async def test_relayed(self) -> None:
        await self.check_stream("relay", *RELAYED)

    async def test_meanwhile(self) -> None:
        """While something moves it is told, before it is over."""
        await self.serve()
        acceptor, dialer = self.accept(*DIRECT, *JSON), self.dial(*DIRECT, *JSON)
        dialer.write(b"x" * 5)
        await dialer.line(r'"event": "bytes".*"sent": 5, "received": 0')
        await acceptor.line(r'"event": "bytes".*"sent": 0, "received": 5')
        dialer.write(b"x" * 7)
        await dialer.line(r'"event": "bytes".*"sent": 12, "received": 0')
        dialer.close_stdin()
        acceptor.close_stdin()
        for program in (dialer, acceptor):
            events = await self.events(program, 0)
            told = [(event["sent"], event["received"]) for event in self.named(events, "bytes")]
            # The last one of all is of the end.
            self.assertEqual(len(set(told[:-1])), len(told[:-1]))

    async def test_log(self) -> None:
        """``-v``: a line of the log is an event too."""
        await self.serve()
        acceptor, dialer = self.accept(*DIRECT, *JSON, "-v"), self.dial(*DIRECT, *JSON, "-v")
        dialer.close_stdin()
        acceptor.close_stdin()
        for program in (dialer, acceptor):
            self.assertEqual(await program.ended, 0)
            events = [json.loads(line) for line in program.stderr.splitlines()]
            logs = self.named(events, "log")
            self.assertIn("rdv.client.request", {event["source"] for event in logs})
            for event in logs:
                self.assertIn(event["level"], ("debug", "info"))
                self.assertTrue(event["message"])
            steps = [event for event in events if event["event"] != "log"]
            self.assertEqual(steps[-1]["event"], "end")

    async def test_notice(self) -> None:
        """The server does not know our address."""
        await self.serve("--observed-header", "X-Nobody")
        acceptor, dialer = self.accept(*RELAYED, *JSON), self.dial(*RELAYED, *JSON)
        dialer.close_stdin()
        acceptor.close_stdin()
        for program in (dialer, acceptor):
            events = await self.events(program, 0)
            (notice,) = self.named(events, "notice")
            self.assertEqual(notice["message"], "missing observed address")
            (connected,) = self.named(events, "connected")
            self.assertIsNone(connected["observed"])


class FailureTests(JSONTestCase):
    """What goes wrong is an event, and the end comes behind it."""

    async def test_usage(self) -> None:
        """What cannot even be parsed is told as JSON, and so is what makes no sense."""
        bad = self.rdv("dial", *JSON, "--timeout", "soon", "http://127.0.0.1:1", "t")
        self.assertEqual(await bad.ended, 2)
        (event,) = [json.loads(line) for line in bad.stderr.splitlines()]
        self.assertEqual((event["event"], event["status"]), ("failed", 2))
        self.assertIn("--timeout", event["message"])
        for role in ("dial", "accept"):
            for arguments in (("ftp://x", "t"), ("--spaces", "outer", "http://x", "t")):
                events = await self.events(self.rdv(role, *JSON, *arguments), 2)
                self.assert_order(events, "failed", "end")
                self.assert_failed(events, 2, "^not an ")

    async def test_both_forms(self) -> None:
        """Quiet JSON is no JSON."""
        program = self.rdv("accept", *JSON, "-q", "http://127.0.0.1:1", "t")
        self.assertEqual(await program.ended, 2)
        self.assertIn("not allowed with", json.loads(program.stderr)["message"])

    async def test_no_server(self) -> None:
        self.url = "http://127.0.0.1:1"  # nobody listens there
        events = await self.events(self.dial(*JSON), 1)
        self.assert_order(events, "begun", "failed", "end")
        self.assert_failed(events, 1, "^cannot reach http://127.0.0.1:1")

    async def test_refused(self) -> None:
        """The server serves something else there."""
        await self.serve("--path", "/elsewhere")
        events = await self.events(self.dial(*JSON), 1)
        self.assert_order(events, "begun", "lobby", "failed", "end")
        self.assert_failed(events, 1, "refused: 404")
        self.assertEqual((events[-1]["sent"], events[-1]["received"]), (0, 0))

    async def test_timeout(self) -> None:
        """Nobody comes."""
        await self.serve()
        for start in (self.dial, self.accept):
            events = await self.events(start("--timeout", "0.5", *JSON), 1)
            self.assert_order(events, "begun", "lobby", "failed", "end")
            self.assert_failed(events, 1, "^no connection within ")

    async def test_broken(self) -> None:
        """The peer is killed; what has moved until then is told."""
        await self.serve()
        acceptor, dialer = self.accept(*DIRECT), self.dial(*DIRECT, *JSON)
        dialer.write(noise(1, MEGABYTE))
        await acceptor.received(MEGABYTE)
        acceptor.signal("KILL")
        events = await self.events(dialer, 3)
        self.assert_order(events, "begun", *STREAM, "failed", "end")
        self.assert_failed(events, 3, "^the stream broke: ")
        self.assertEqual(events[-1]["sent"], MEGABYTE)
        self.assertEqual(events[-3]["event"], "bytes")

    async def test_interrupted(self) -> None:
        """By a signal: while waiting, and in the middle of the stream."""
        await self.serve()
        for name, status in (("INT", 130), ("TERM", 143)):
            dialer = self.dial(*JSON)
            await dialer.line('"lobby"')
            dialer.signal(name)
            events = await self.events(dialer, status)
            self.assert_order(events, "begun", "lobby", "failed", "end")
            self.assert_failed(events, status, "^interrupted$")
            acceptor, dialer = self.accept(*DIRECT, *JSON), self.dial(*DIRECT)
            dialer.write(b"x")
            await acceptor.received(1)
            acceptor.signal(name)
            events = await self.events(acceptor, status)
            self.assert_order(events, "begun", *STREAM, "failed", "end")
            self.assertEqual(events[-1]["received"], 1)
            self.assertEqual(await dialer.ended, 3)


class QuietTests(JSONTestCase):
    """``--quiet`` and ``-q``."""

    async def test_well(self) -> None:
        """Nothing is said, not even that the address is unknown."""
        await self.serve("--observed-header", "X-Nobody")
        acceptor, dialer = self.accept(*RELAYED, "-q"), self.dial(*RELAYED, "--quiet")
        dialer.write(b"hello")
        await acceptor.received(5)
        dialer.close_stdin()
        acceptor.close_stdin()
        await self.assert_ended(acceptor, 0)
        await self.assert_ended(dialer, 0)

    async def test_failure(self) -> None:
        """What went wrong is."""
        await self.serve()
        dialer = self.dial("-q", "--timeout", "0.5")
        await self.assert_ended(dialer, 1, "no connection within 0.5 s: .*")
