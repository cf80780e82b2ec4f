"""
The numbers of several workers: requested, added, and never falling.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from rdv.server.accounting.metrics import NO_LABELS, Sample
from rdv.server.workers.orders import COUNTED, STATISTICS
from rdv.test.server.workers.doubles import FakeProcess, ParentTestCase


def counted(requests: int, waiting: int = 0) -> Sample:
    """What a worker may say."""
    return {
        "rdv_requests": {"dialer": requests},
        "rdv_clients_waiting": {"dialer": waiting},
    }


class PollingTestCase(ParentTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.processes = self.start()

    def ask(self) -> Deferred[Sample]:
        return self.service.polling.sample()

    def answer(self, process: FakeProcess, sample: Any) -> None:
        """A worker says that, in two pieces."""
        line = COUNTED + json.dumps(sample).encode() + b"\n"
        process.say(line[:9])
        process.say(line[9:])

    def assert_sum(self, asked: Deferred[Sample], requests: int, waiting: int, up: str) -> Sample:
        """
        What the workers come to.

        :param up: for each whether it has answered, as 0 or 1.
        """
        sample = self.successResultOf(asked)
        self.assertEqual(sample["rdv_requests"], {"dialer": requests})
        self.assertEqual(sample.get("rdv_clients_waiting", {}).get("dialer", 0), waiting)
        self.assertEqual(
            {index: bool(value) for index, value in sample["rdv_worker_up"].items()},
            {str(index): each == "1" for index, each in enumerate(up)},
        )
        return sample

    def say(self, index: int, requests: int, waiting: int = 0) -> None:
        """A worker answers."""
        sample = counted(requests, waiting) | {"rdv_worker_up": {str(index): 1}}
        self.answer(self.service_processes()[index], sample)

    def service_processes(self) -> dict[int, FakeProcess]:
        """The last process of each worker."""
        return {process.start.index: process for process in self.reactor.processes}


class PollingTests(PollingTestCase):
    """Workers whose counts are requested."""

    def test_all_answer(self) -> None:
        """It is told with the last one, to all who have asked meanwhile, and asked once."""
        asked = [self.ask(), self.ask()]
        for process in self.processes:
            self.assertEqual(process.told, STATISTICS)
        for index in range(3):
            self.assertNoResult(asked[0])
            self.say(index, 10 + index, 1)
        for each in asked:
            self.assert_sum(each, 33, 3, "111")
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)  # whether they are there
        again = self.ask()
        self.assertEqual(self.processes[0].told, STATISTICS * 2)
        for index in range(3):
            self.say(index, 20)
        self.assert_sum(again, 60, 0, "111")

    def test_one_is_silent(self) -> None:
        """After a second. What it has counted stays; how it is nobody knows."""
        asked = self.ask()
        for index in range(3):
            self.say(index, 10, 5)
        self.assert_sum(asked, 30, 15, "111")
        asked = self.ask()
        self.say(0, 11, 5)
        self.say(2, 12, 5)
        self.reactor.advance(0.9)
        self.assertNoResult(asked)
        self.reactor.advance(0.2)
        self.assert_sum(asked, 33, 10, "101")
        # It arrives too late, and counts the next time.
        self.say(1, 50, 5)
        asked = self.ask()
        self.reactor.advance(1.1)
        self.assert_sum(asked, 73, 0, "000")

    def test_one_dies(self) -> None:
        """What it had counted stays in the sum of all that come after it."""
        asked = self.ask()
        for index in range(3):
            self.say(index, 10, 5)
        self.successResultOf(asked)
        asked = self.ask()
        self.say(0, 11)
        self.say(2, 11)
        self.processes[1].end(killed_by=9)
        sample = self.assert_sum(asked, 32, 0, "101")
        self.assertEqual(sample["rdv_worker_restarts"], {NO_LABELS: 1})
        self.reactor.advance(1)
        self.service_processes()[1].serve()
        asked = self.ask()
        for index in range(3):
            self.say(index, 12 if index != 1 else 1)
        self.assert_sum(asked, 35, 0, "111")

    def test_none_yet(self) -> None:
        """Who is being started need not answer, nor who ends when all do."""
        for process in self.processes:
            process.end(killed_by=9)
        sample = self.successResultOf(self.ask())
        self.assertEqual(sample["rdv_worker_restarts"], {NO_LABELS: 3})
        self.assertEqual(set(sample["rdv_worker_up"].values()), {0})

    def test_all_end(self) -> None:
        """While they are asked: what is known is told, and no timer is left."""
        asked = self.ask()
        self.say(0, 5)
        self.end()
        self.assert_sum(asked, 5, 0, "000")

    def test_forgotten(self) -> None:
        """Who does not want to know any longer takes it from nobody else."""
        first, second = self.ask(), self.ask()
        first.addErrback(lambda _: None)
        first.cancel()
        for index in range(3):
            self.say(index, 1)
        self.assert_sum(second, 3, 0, "111")

    def test_nonsense(self) -> None:
        """It is as good as no answer."""
        asked = self.ask()
        values: list[Any] = ["no numbers", 5, {"a": 5}, {"a": {"": None}}, {"a": {"": {}}}]
        with capturedLogs() as said:
            for nonsense in values:
                self.answer(self.processes[0], nonsense)
            for line in (b"{\n", b"[" * 10_000 + b"\n"):
                self.processes[0].say(COUNTED + line)
        self.assertEqual(len(said), 7)
        for index in (1, 2):
            self.say(index, 1)
        self.reactor.advance(1.1)
        self.assert_sum(asked, 2, 0, "011")


class AloneTests(PollingTestCase):
    """Workers whose counts are not requested."""

    admin = "tcp:9180"

    def test_last_second(self) -> None:
        """What one has counted longer ago is not lost when it dies."""
        for number in range(1, 4):
            for process in self.processes:
                self.assertEqual(process.told, STATISTICS * number)
            for index in range(3):
                self.say(index, number)
            self.reactor.advance(1)
        asked = self.ask()
        self.processes[1].end(killed_by=9)
        self.say(0, 3)
        self.say(2, 3)
        self.assert_sum(asked, 9, 0, "101")

    def test_slow(self) -> None:
        """They are not asked again before that is over."""
        self.reactor.advance(0.9)
        self.assertEqual(self.processes[0].told, STATISTICS)
        self.say(0, 1)
        self.reactor.advance(0.1)
        self.assertEqual(self.processes[0].told, STATISTICS)
        self.reactor.advance(1)
        self.assertEqual(self.processes[0].told, STATISTICS * 2)
