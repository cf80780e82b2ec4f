"""
``rdv dial --json`` and ``rdv accept --json``: every line on stderr is an event, in order.

The last one is the end, with the exit status: :mod:`tests.test_faults` looks at that, too.
"""

from __future__ import annotations

import json
import os
from typing import Any

from tests.processes import Program
from tests.servers import DIRECT, MEGABYTE, RELAYED, SystemTestCase, noise

JSON = ("--json",)
#: The events of a stream, without those from the trace, which vary.
STREAM = ["lobby", "candidates", "connected"]


class JSONTestCase(SystemTestCase):
    forked = True

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
        return [event for event in events if event["event"] in names]

    def assert_order(self, events: list[dict[str, Any]], *names: str) -> None:
        """Of all that are documented as steps these have come, once each, in this order."""
        steps = {*STREAM, "begun", "failed", "end"}
        came = [event["event"] for event in events if event["event"] in steps]
        self.assertEqual(came, list(names))

    def assert_failed(self, events: list[dict[str, Any]], status: int, pattern: str) -> None:
        (failed,) = self.named(events, "failed")
        self.assertEqual(failed["status"], status)
        self.assertRegex(failed["message"], pattern)


class StreamTests(JSONTestCase):
    async def test_whole(self) -> None:
        """Both sides tell where they are, and how much has moved."""
        await self.serve()
        size, answer = 8 * MEGABYTE + 1, MEGABYTE + 1
        files = [self.file_of(noise(seed, count)) for seed, count in ((1, size), (2, answer))]
        for path, options in (("p2p", DIRECT), ("relay", RELAYED)):
            target, stdout = self.created()
            acceptor = self.accept(*options, *JSON, stdin=self.opened(files[1]), stdout=stdout)
            dialer = self.dial(*options, *JSON, stdin=self.opened(files[0]))
            for program, sent, received in ((dialer, size, answer), (acceptor, answer, size)):
                events = await self.events(program, 0)
                self.assert_order(events, "begun", *STREAM, "end")
                self.check_addresses(events, path)
                for event in self.named(events, "bytes"):
                    self.assertLessEqual(event["sent"], sent)
                    self.assertLessEqual(event["received"], received)
                self.assertEqual([event["event"] for event in events[-2:]], ["bytes", "end"])
                for event in events[-2:]:
                    self.assertEqual((event["sent"], event["received"]), (sent, received))
                self.assertGreater(events[-1]["seconds"], 0)
            self.assertEqual(os.path.getsize(target), size)
            self.assertEqual(len(dialer.stdout), answer)

    def check_addresses(self, events: list[dict[str, Any]], path: str) -> None:
        (connected,) = self.named(events, "connected")
        self.assertEqual(connected["path"], path)
        self.assertRegex(connected["peer"], r"^(127\.0\.0\.1|\[::1\]):\d+$")
        (candidates,) = self.named(events, "candidates")
        self.assertEqual(candidates["observed"], connected["observed"])
        for address in candidates["peer_addresses"]:
            self.assertRegex(address, r"^\S+:\d+$")

    async def test_meanwhile(self) -> None:
        """While something moves it is told, before it is over, until the peer is killed."""
        await self.serve()
        acceptor, dialer = self.accept(*DIRECT, *JSON), self.dial(*DIRECT, *JSON)
        dialer.write(b"x" * 5)
        await dialer.line(r'"event": "bytes".*"sent": 5, "received": 0')
        await acceptor.line(r'"event": "bytes".*"sent": 0, "received": 5')
        dialer.write(b"x" * 7)
        await dialer.line(r'"event": "bytes".*"sent": 12, "received": 0')
        await acceptor.received(12)
        acceptor.signal("KILL")
        events = await self.events(dialer, 3)
        self.assert_order(events, "begun", *STREAM, "failed", "end")
        self.assert_failed(events, 3, "^the stream broke: ")
        self.assertEqual(events[-1]["sent"], 12)
        told = [(event["sent"], event["received"]) for event in self.named(events, "bytes")]
        # The very last one is the end.
        self.assertEqual(len(set(told[:-1])), len(told[:-1]))

    async def test_log_and_notice(self) -> None:
        """``-v``: a line of the log is an event too. The server does not know our address."""
        await self.serve("--observed-header", "X-Nobody")
        options = (*RELAYED, *JSON, "-v")
        acceptor, dialer = self.accept(*options), self.dial(*options)
        dialer.close_stdin()
        acceptor.close_stdin()
        for program in (dialer, acceptor):
            self.assertEqual(await program.ended, 0)
            events = [json.loads(line) for line in program.stderr.splitlines()]
            logs = self.named(events, "log")
            self.assertTrue(any(event["source"].startswith("rdv.client.") for event in logs))
            for event in logs:
                self.assertIn(event["level"], ("debug", "info"))
                self.assertTrue(event["message"])
            steps = [event for event in events if event["event"] != "log"]
            self.assertEqual(steps[-1]["event"], "end")
            notices = [event["message"] for event in self.named(events, "notice")]
            self.assertEqual(notices[1:], ["missing observed address"])
            self.assertIn("not encrypted", notices[0])
            (connected,) = self.named(events, "connected")
            self.assertIsNone(connected["observed"])


class FailureTests(JSONTestCase):
    """A failure is an event, and the end follows it."""

    async def test_usage(self) -> None:
        """What cannot even be parsed is told as JSON, and so is what makes no sense: one event."""
        for arguments, said in (
            (("--timeout", "soon", "http://127.0.0.1:1", "t"), "--timeout"),
            (("-q", "http://127.0.0.1:1", "t"), "not allowed with"),  # with --json
            (("ftp://x", "t"), "not an http:// or https:// URL"),
        ):
            bad = self.rdv("dial", *JSON, *arguments)
            self.assertEqual(await bad.ended, 2)
            event = json.loads(bad.stderr)
            self.assertEqual((event["event"], event["status"]), ("failed", 2))
            self.assertIn(said, event["message"])

    async def test_no_connection(self) -> None:
        """No server, one that serves something else there, and one where nobody comes."""
        self.url = "http://127.0.0.1:1"
        events = await self.events(self.dial(*JSON), 1)
        self.assert_order(events, "begun", "failed", "end")
        self.assert_failed(events, 1, "^cannot reach http://127.0.0.1:1")
        await self.serve("--path", "/rdv")
        elsewhere = self.rdv("dial", *JSON, self.url.replace("/rdv", "/elsewhere"), "t")
        in_vain = self.accept("--timeout", "0.5", *JSON)
        for program, said in ((elsewhere, "refused: 404"), (in_vain, "^no connection within ")):
            events = await self.events(program, 1)
            self.assert_order(events, "begun", "lobby", "failed", "end")
            self.assert_failed(events, 1, said)
            self.assertEqual((events[-1]["sent"], events[-1]["received"]), (0, 0))

    async def test_interrupted(self) -> None:
        await self.serve()
        dialer = self.dial(*JSON)
        await dialer.line('"lobby"')
        dialer.signal("INT")
        events = await self.events(dialer, 130)
        self.assert_order(events, "begun", "lobby", "failed", "end")
        self.assert_failed(events, 130, "^interrupted$")


class QuietTests(JSONTestCase):
    async def test_quiet(self) -> None:
        """Nothing is said, not even that the address is unknown; but what went wrong is."""
        await self.serve("--observed-header", "X-Nobody")
        acceptor, dialer = self.accept(*RELAYED, "-q"), self.dial(*RELAYED, "--quiet")
        dialer.write(b"hello")
        await acceptor.received(5)
        dialer.close_stdin()
        acceptor.close_stdin()
        await self.assert_ended(acceptor, 0)
        await self.assert_ended(dialer, 0)
        dialer = self.dial("-q", "--timeout", "0.5")
        await self.assert_ended(dialer, 1, "no connection within 0.5 s: .*")
