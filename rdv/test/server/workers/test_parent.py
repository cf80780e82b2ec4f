"""The parent of workers: what it starts, starts again, and stops. The processes are doubles."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent

from rdv.errors import RdvError
from rdv.server.passing.message import PassedClient, encode, inbox_pair, receive, send
from rdv.server.workers import crew
from rdv.server.workers.orders import (
    ABORT,
    ALL_ANSWER,
    COMMANDS,
    DRAIN,
    HAND_OVER,
    HANGING,
    READY,
    RELOAD,
    SETTINGS,
    Start,
    decode_settings,
)
from rdv.server.workers.parent import WorkersService
from rdv.settings import ServerSettings
from rdv.test.doubles import present
from rdv.test.server.workers.doubles import FakeProcess, ParentTestCase
from rdv.test.sockets import tcp_pair
from rdv.wire import Role, refusal


class StartTests(ParentTestCase):
    """The beginning."""

    def test_what_they_get(self) -> None:
        """Ports, inboxes, ways to the other inboxes, memory; and what the operator wants."""
        processes = self.start()
        self.assertEqual([process.start.index for process in processes], [0, 1, 2])
        inboxes = [process.descriptors[4 + 2] for process in processes]
        ways: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
        memories = {process.descriptors[4 + 5] for process in processes}
        for process in processes:
            self.assertEqual(process.start.workers, 3)
            self.assertEqual(process.start.settings.drain, 20.0)
            self.assertEqual(process.start.settings.listen, ("tcp:8080", "tcp:8081"))
            self.assertEqual(process.descriptors[COMMANDS], "w")
            self.assertEqual(process.descriptors[3], "r")
            self.assertEqual([process.descriptors[n] for n in (1, 2)], [1, 2])
            self.assertEqual(process.start.reports, 3)
            self.assertEqual(process.start.ports, ["tcp 8080 ", "tcp 8081 "])
            ports = [process.descriptors[4 + number] for number in range(2)]
            self.assertEqual(ports, [9080, 9081])
            others = [index for index in range(3) if index != process.start.index]
            for index, number in zip(others, (4 + 3, 4 + 4), strict=True):
                ways[index].add(process.descriptors[number])
            self.assertNotIn(4 + 7, process.descriptors)  # behind the way to the next generation
        self.assertEqual(len(set(inboxes)), 3)
        self.assertEqual(len(memories), 1)
        # One way to each worker, the same for all.
        self.assertEqual([len(way) for way in ways.values()], [1, 1, 1])
        # The parent accepts nothing itself.
        for port in self.reactor.ports:
            self.assertEqual((port.accepting, port.open), (False, True))

    def test_ready_with_the_last(self) -> None:
        self.service.startService()
        for process in self.reactor.processes:
            self.assertNoResult(self.service.ready)
            process.say(READY[:2])
            process.say(READY[2:] + b"\n")
        self.successResultOf(self.service.ready)
        self.end()

    def test_one_does_not_start(self) -> None:
        """Then the others need not either."""
        self.service.startService()
        first, second, third = self.reactor.processes
        first.serve()
        second.end(status=1)
        error = self.failureResultOf(self.service.ready, RdvError)
        self.assertEqual(error.getErrorMessage(), "worker 1 did not start: exit status 1")
        self.assertEqual((first.told, third.told), (DRAIN, DRAIN))
        first.end()
        third.end()
        self.assertEqual(len(self.reactor.processes), 3)
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_none_can_be_started(self) -> None:
        self.reactor.refusing = True
        self.service.startService()
        error = self.failureResultOf(self.service.ready, RdvError)
        self.assertIn("Resource temporarily unavailable", error.getErrorMessage())
        self.successResultOf(self.service.stopService())

    def test_no_mailboxes(self) -> None:
        """Where the system has nothing like them it is told before anything is started."""

        def no_pair() -> None:
            raise OSError(93, "Protocol not supported")

        self.patch(crew, "inbox_pair", no_pair)
        error = self.assertRaises(RdvError, self.service.startService)
        self.assertEqual(str(error), "cannot have several workers: Protocol not supported")
        self.assertEqual(self.reactor.ports, [])

    def test_what_is_said_is_all_in_json(self) -> None:
        """And comes back as it was."""
        settings = ServerSettings(listen=("8080",), observed_header="X-Real-IP", align=False)
        start = Start(1, 3, 3, ["tcp 8080 "], "debug", settings)
        self.assertEqual(json.loads(start.to_json())["settings"]["align"], False)
        self.assertEqual(Start.from_json(start.to_json()), start)


class RestartTests(ParentTestCase):
    """One dies."""

    def test_at_once(self) -> None:
        """After a long life; with the same inbox. The others are left alone."""
        first, second, third = self.start()
        self.reactor.advance(60)
        with capturedLogs() as events:
            second.end(killed_by=9)
        critical = [event for event in events if event["log_level"] is LogLevel.critical]
        self.assertEqual(list(map(formatEvent, critical)), ["worker 1 died: signal 9"])
        self.reactor.advance(0)
        again = self.reactor.processes[-1]
        self.assertEqual(again.start, second.start)
        self.assertEqual(again.descriptors, second.descriptors)
        self.assertEqual((first.told, third.told), (b"", b""))
        again.serve()

    def test_its_counts(self) -> None:
        """What it has counted goes with it, and nothing else; at the end the memory is closed."""
        processes = self.start()
        memory, descriptor = self.crew.memory
        for part in memory.counts():
            part[5] = 1
        self.reactor.advance(60)
        processes[1].end(killed_by=9)
        self.assertEqual([part[5] for part in memory.counts()], [1, 0, 1])
        self.reactor.advance(0)
        stopped = self.service.stopService()
        for process in (processes[0], processes[2], self.reactor.processes[-1]):
            process.end()
        self.successResultOf(stopped)
        self.assertRaises(OSError, os.fstat, descriptor)

    def test_dies_at_once(self) -> None:
        """It is started for ever, but less and less often as long as it does not get to serve."""
        _, second, _ = self.start()
        self.reactor.advance(60)
        second.end(status=1)
        self.reactor.advance(0)
        count = 0
        for pause in (2, 4, 8, 16, 32, 60, 60):
            count = len(self.reactor.processes)
            self.reactor.processes[-1].end(status=1)
            self.reactor.advance(pause - 0.1)
            self.assertEqual(len(self.reactor.processes), count)
            self.reactor.advance(0.2)
            self.assertEqual(len(self.reactor.processes), count + 1)
        self.reactor.processes[-1].serve()
        self.reactor.processes[-1].end(status=1)
        self.reactor.advance(1)
        self.assertEqual(len(self.reactor.processes), count + 2)

    def test_nobody_is_left(self) -> None:
        """And none can be started: that is the end, and known as one."""
        processes = self.start()
        self.reactor.advance(60)
        for process in processes:
            process.end(killed_by=9)
        self.reactor.advance(0)
        for _ in range(2):
            self.assertNoResult(self.service.failed)
            for process in self.reactor.processes[-3:]:
                process.end(status=1)
            self.reactor.advance(60)
        error = self.failureResultOf(self.service.failed, RdvError)
        self.assertEqual(error.getErrorMessage(), "worker 2 did not start: exit status 1")

    def test_one_is_left(self) -> None:
        """Its clients shall not suffer because the others cannot be started."""
        first, *others = self.start()
        self.reactor.advance(60)
        for _ in range(5):
            for process in others:
                process.end(status=1)
            self.reactor.advance(60)
            others = self.reactor.processes[-2:]
        self.assertNoResult(self.service.failed)
        self.assertEqual(first.told, b"")

    def test_several(self) -> None:
        """Be it that they end well, which nobody has told them; as soon as it can be had."""
        processes = self.start()
        self.reactor.advance(60)
        for process in processes:
            process.end(killed_by=None if process is processes[0] else 9)
        self.reactor.refusing = True
        self.reactor.advance(0)
        self.reactor.refusing = False
        self.assertEqual(len(self.reactor.processes), 3)
        self.reactor.advance(2)
        self.assertEqual([p.start.index for p in self.reactor.processes[3:]], [0, 1, 2])


class SilenceTests(ParentTestCase):
    """One hangs."""

    def ask(self, *answering: FakeProcess) -> None:
        """Ask all once more; these are there."""
        self.reactor.advance(5)
        for process in answering:
            process.answer()

    def test_all_answer(self) -> None:
        """They are left alone, whatever happens, and all know that they are there."""
        processes = self.start()
        for _ in range(20):
            self.ask(*processes)
        for process in processes:
            self.assertEqual((process.killed, process.asked), (False, 20))
            self.assertEqual(process.silences[-1], ALL_ANSWER)

    def test_one_does_not(self) -> None:
        """The others are told, and it is replaced."""
        first, second, third = self.start()
        for _ in range(2):
            self.ask(first, third)
        self.assertEqual((first.silences[-1], third.silences[-1]), (ALL_ANSWER, ALL_ANSWER))
        with capturedLogs() as events:
            for _ in range(5):
                self.assertFalse(second.killed)
                self.ask(first, third)
                self.assertEqual((first.silences[-1], third.silences[-1]), (HANGING, HANGING))
        self.assertTrue(second.killed)
        said = [formatEvent(event) for event in events]
        self.assertIn("worker 1 does not respond: killed", said)
        second.end(killed_by=9)
        self.reactor.advance(0)
        self.reactor.processes[-1].serve()
        for process in (first, third, self.reactor.processes[-1]):
            self.assertEqual(process.silences[-1], ALL_ANSWER)

    def test_late(self) -> None:
        """One that has been busy for a while stays."""
        first, second, third = self.start()
        for _ in range(6):
            self.ask(first, third)
        second.answer()
        self.ask(first, second, third)
        self.assertFalse(second.killed)
        self.assertEqual(first.silences[-1], ALL_ANSWER)

    def test_all_have_stopped(self) -> None:
        """The parent, too: when they go on, nobody has missed more than one question."""
        processes = self.start()
        self.reactor.advance(3600)
        self.ask(*processes)
        self.assertFalse(any(process.killed for process in processes))

    def test_slow_start(self) -> None:
        """It takes time until there is somebody to answer."""
        first, second, third = self.start()
        second.end(killed_by=9)
        self.reactor.advance(1)
        again = self.reactor.processes[-1]
        for _ in range(24):
            self.ask(first, third)
            self.assertFalse(again.killed)
        self.ask(first, third)
        self.assertTrue(again.killed)

    def test_switched_off(self) -> None:
        self.service = WorkersService(self.reactor, ServerSettings(worker_timeout=0.0), 3)
        processes = self.start()
        self.reactor.advance(3600)
        self.assertEqual([process.asked for process in processes], [0, 0, 0])


class StopTests(ParentTestCase):
    """The end."""

    def test_waits(self) -> None:
        """For all of them; none is started again."""
        first, second, third = self.start()
        done, again = self.service.stopService(), self.service.stopService()
        for process in (first, second, third):
            self.assertEqual(process.told, DRAIN)
            self.assertNoResult(done)
            self.assertFalse(any(port.open for port in self.reactor.ports))
            process.end(status=1)
        self.successResultOf(done)
        self.successResultOf(again)
        self.assertEqual(len(self.reactor.processes), 3)

    def test_before_it_runs(self) -> None:
        self.service.privilegedStartService()
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.reactor.processes, [])

    def test_while_one_is_dead(self) -> None:
        """That one stays so."""
        self.start()[0].end(killed_by=9)
        self.service.stopService()
        self.reactor.advance(2)
        self.assertEqual(len(self.reactor.processes), 3)

    def assert_refused_at_stop(self) -> Deferred[None]:
        """A client in the second worker's inbox is, at once. Returns what stopping returned."""
        client, server = tcp_pair()
        with client:
            message = encode(PassedClient(Role.DIALER, b"token", "", ""))
            send(self.crew.mailboxes[1][1], message, server)
            server.close()
            client.settimeout(10)
            stopped = self.service.stopService()
            self.assertEqual(client.recv(4096), refusal(503, "shutting down, try again"))
        return stopped

    def test_passed_on_to_a_dead_one(self) -> None:
        """Who is in its inbox is told so at once."""
        self.start()[1].end(killed_by=9)
        self.assert_refused_at_stop()

    def test_one_does_not_end(self) -> None:
        """It is killed, well after the time in which it should have ended."""
        first, second, third = self.start()
        done = self.service.stopService()
        first.end()
        self.reactor.advance(25)
        self.assertFalse(second.killed)
        self.reactor.advance(10)
        self.assertTrue(second.killed and third.killed)
        second.end(killed_by=9)
        third.end(killed_by=9)
        self.successResultOf(done)

    def test_passed_on_to_one_that_stops(self) -> None:
        """It takes nobody any more, so the parent refuses who is in its inbox, at once."""
        processes = self.start()
        done = self.assert_refused_at_stop()
        for process in processes:
            process.end()
        self.successResultOf(done)

    def test_left_in_an_inbox(self) -> None:
        """Who was passed on to a worker that has ended is told so, as soon as that is known."""
        first, second, third = self.start()
        outbox = present(self.service._crew).mailboxes[1][1]
        client, server = tcp_pair()
        with client:
            done = self.service.stopService()
            send(outbox, encode(PassedClient(Role.DIALER, b"token", "", "")), server)
            outbox.send(b"nonsense")
            server.close()
            second.end()
            self.assertEqual(client.recv(4096), refusal(503, "shutting down, try again"))
            self.assertEqual(client.recv(1), b"")
        first.end()
        third.end()
        self.successResultOf(done)


class HandOverTests(ParentTestCase):
    """The next generation serves."""

    def hand_over(self) -> None:
        """As if one did."""
        self.inbox, outbox = inbox_pair()
        self.addCleanup(self.inbox.close)
        self.addCleanup(outbox.close)
        self.patch(self.crew, "_outbox", outbox)
        self.service._hand_over(outbox)

    def test_all_are_told(self) -> None:
        """They have their time, and none is started again; then that is all."""
        processes = self.start()
        self.hand_over()
        self.assertEqual([process.told for process in processes], [HAND_OVER] * 3)
        self.assertFalse(any(port.open for port in self.reactor.ports))
        processes[0].end(killed_by=9)
        self.reactor.advance(80_000)
        self.assertEqual(len(self.reactor.processes), 3)
        for process in processes[1:]:
            self.assertFalse(process.killed or self.reactor.stopped)
            process.end()
        self.assertTrue(self.reactor.stopped)

    def test_left_in_an_inbox(self) -> None:
        """Who was passed on to a worker that has ended goes to the next generation, too."""
        processes = self.start()
        outbox = self.crew.mailboxes[1][1]
        client, server = tcp_pair()
        with client:
            self.hand_over()
            message = encode(PassedClient(Role.DIALER, b"token", "", "", None, 7, 1.5))
            send(outbox, message, server)
            server.close()
            processes[1].end()
            found, sock = receive(self.inbox)
            self.assertEqual(found, message)
            present(sock).close()

    def test_left_by_a_dead_one(self) -> None:
        """Who was passed on to a worker that was to be started again need not wait for the end."""
        processes = self.start()
        client, server = tcp_pair()
        with client:
            processes[1].end(killed_by=9)
            message = encode(PassedClient(Role.DIALER, b"token", "", "", None, 7, 1.5))
            send(self.crew.mailboxes[1][1], message, server)
            server.close()
            self.hand_over()
            found, sock = receive(self.inbox)
            self.assertEqual(found, message)
            present(sock).close()

    def test_no_room(self) -> None:
        """The last of them are waited for."""
        processes = self.start()
        client, server = tcp_pair()
        with client:
            self.hand_over()
            message = encode(PassedClient(Role.DIALER, b"token", "", "", None, 7, 1.5))
            send(self.crew.mailboxes[1][1], message, server)
            server.close()
            while True:
                try:
                    self.crew._outbox.send(b"another one")
                except BlockingIOError:
                    break
            for process in processes:
                process.end()
            self.assertFalse(self.reactor.stopped)
            with self.assertRaises(BlockingIOError):
                while True:
                    receive(self.inbox)
            for writer in self.reactor.writers:
                writer.doWrite()
            self.reactor.advance(0.02)
            self.assertTrue(self.reactor.stopped)
            found, sock = receive(self.inbox)
            self.assertEqual(found, message)
            present(sock).close()

    def test_told_to_end(self) -> None:
        """In the middle of that: what is left has less time."""
        processes = self.start()
        self.hand_over()
        self.service.stopService()
        self.assertEqual([process.told for process in processes], [HAND_OVER + DRAIN] * 3)
        self.reactor.advance(31)
        self.assertTrue(all(process.killed for process in processes))


class SignalTests(ParentTestCase):
    """SIGINT and SIGTERM."""

    def setUp(self) -> None:
        super().setUp()
        self.handlers: dict[int, Any] = {}
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.service = self.make(handle_signals=True)

    def test_first_and_second(self) -> None:
        """The first one lets the pairs end, the second one does not."""
        processes = self.start()
        self.handlers[signal.SIGTERM](signal.SIGTERM, None)
        self.assertEqual([process.told for process in processes], [DRAIN] * 3)
        self.handlers[signal.SIGINT](signal.SIGINT, None)
        self.assertEqual([process.told for process in processes], [DRAIN + ABORT] * 3)
        self.assertFalse(self.reactor.stopped)
        for process in processes:
            process.end()
        self.assertTrue(self.reactor.stopped)

    def test_reload(self) -> None:
        """Here, and in each worker. It is taken before there are any."""
        read: list[str] = []
        self.service.reloads.append(lambda: read.append("something"))
        self.service.privilegedStartService()
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual(read, ["something"])
        processes = self.start()
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual(read, ["something"] * 2)
        self.assertEqual([process.told for process in processes], [RELOAD] * 3)

    def test_other_settings(self) -> None:
        """Workers are told, and those have them that are started later."""
        (process, *_) = self.start()
        self.service.use(ServerSettings(listen=["8080", "8081"], drain=7.0))
        self.assertEqual(decode_settings(process.told).drain, 7.0)
        self.assertTrue(process.told.startswith(SETTINGS))
        process.end(killed_by=9)
        self.reactor.advance(1)
        settings = self.reactor.processes[-1].start.settings
        self.assertEqual((settings.drain, settings.listen), (7.0, ("tcp:8080", "tcp:8081")))

    def test_bad_settings(self) -> None:
        """Nobody is told."""
        (process, *_) = self.start()
        self.assertRaises(RdvError, self.service.use, ServerSettings(allow=("/none",), drain=7.0))
        self.assertEqual(process.told, b"")
        self.assertEqual(self.crew.settings.drain, 20.0)

    def test_no_use(self) -> None:
        self.start()
        self.assertEqual(self.handlers[signal.SIGUSR1], signal.SIG_IGN)

    def test_not_handled(self) -> None:
        self.handlers.clear()
        self.service = self.make()
        self.start()
        self.assertEqual(self.handlers, {})
