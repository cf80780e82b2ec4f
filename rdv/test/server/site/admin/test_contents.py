"""
The contents of the admin port: numbers for Prometheus, for programs, and a page for people.
"""

from __future__ import annotations

import errno
import itertools
import json
import re
import subprocess
import sys
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import BadEndpoint, RdvError
from rdv.server import Rendezvous
from rdv.server.accounting.metrics import METRICS, NO_LABELS, Sample
from rdv.server.accounting.statistics import Histogram
from rdv.server.site.admin import prometheus, service
from rdv.server.site.admin.history import History
from rdv.server.site.admin.making import make_admin
from rdv.server.site.admin.prometheus import exposition
from rdv.server.site.admin.service import Admin
from rdv.server.site.admin.site import PAGE, POLICY
from rdv.server.site.admin.status import status_of
from rdv.server.site.sampling import sample_of
from rdv.settings import ServerSettings


class PrometheusTests(SynchronousTestCase):
    def families(self, sample: Sample) -> dict[str, Any]:
        """What Prometheus' own parser makes of it."""
        text, _ = exposition(sample, "")
        found = text_string_to_metric_families(text.decode())
        return {family.name: family for family in found}

    def test_all_of_them(self) -> None:
        """Each with its text, kind and labels."""
        sample = sample_of(Rendezvous(Clock()))
        for metric in METRICS:
            if metric.name not in sample or not sample[metric.name]:
                values = " ".join(f"a{n}" for n, _ in enumerate(metric.labels))
                sample[metric.name] = {values: 1}
        found = self.families(sample)
        self.assertEqual(set(found), {metric.name for metric in METRICS})
        for metric in METRICS:
            family = found[metric.name]
            self.assertEqual((family.type, family.documentation), (metric.kind, metric.text))
            if metric.kind != "histogram":
                for each in family.samples:
                    self.assertEqual(set(each.labels), set(metric.labels))

    def test_histogram(self) -> None:
        """Prometheus counts what is up to each bound, from the lowest on."""
        histogram = Histogram((0.5, 10.0, 2.0**30))
        for value in (0.1, 0.2, 5.0, 100.0, 2.0**31):
            histogram.add(value)
        bounds = [*map(str, histogram.bounds), "+Inf"]
        values = dict(zip(bounds, map(float, histogram.counts), strict=True))
        found = self.families({"rdv_wait_seconds": {**values, "sum": histogram.sum}})
        samples = found["rdv_wait_seconds"].samples
        self.assertEqual(
            [(each.labels["le"], each.value) for each in samples if "le" in each.labels],
            [("0.5", 2), ("10.0", 3), ("1073741824.0", 4), ("+Inf", 5)],
        )
        others = {each.name: each.value for each in samples if "le" not in each.labels}
        self.assertEqual(
            others, {"rdv_wait_seconds_count": 5, "rdv_wait_seconds_sum": histogram.sum}
        )

    def test_unknown(self) -> None:
        """What a worker of another version says is left out."""
        self.assertEqual(self.families({"rdv_nonsense": {NO_LABELS: 1}}), {})


class StatusTests(SynchronousTestCase):
    def test_nothing_known(self) -> None:
        """Of a server whose workers have not said anything."""
        status = status_of({}, History(), "1", 100.0)
        self.assertEqual(json.loads(json.dumps(status)), status)
        self.assertIsNone(status["direct_share"])
        self.assertEqual((status["workers"], status["history"]), ([], {}))

    def test_share(self) -> None:
        """Of the pairs that have met."""
        sample: Sample = {"rdv_outcomes": {"direct": 3, "relayed": 1, "failed": 5, "abandoned": 7}}
        self.assertEqual(status_of(sample, History(), "1", 100.0)["direct_share"], 0.75)

    def test_workers(self) -> None:
        """In their order; what one has not said is not known."""
        up = {str(index): float(index != 10) for index in range(11)}
        sample: Sample = {"rdv_worker_up": up, "rdv_open_descriptors": {"2": 12}}
        workers = status_of(sample, History(), "1", 100.0)["workers"]
        self.assertEqual([each["worker"] for each in workers], list(range(11)))
        self.assertEqual([each["up"] for each in workers], [True] * 10 + [False])
        self.assertEqual(workers[2]["open_descriptors"], 12)
        self.assertIsNone(workers[3]["open_descriptors"])


class HistoryTests(SynchronousTestCase):
    def test_columns(self) -> None:
        clock = Clock()
        history = History(clock.seconds, lambda: clock.seconds() + 100)
        for number in range(3):
            history.add(
                {
                    "rdv_outcomes": {"direct": number, "relayed": 1},
                    "rdv_relayed_bytes": {"dialer": 5, "acceptor": number},
                }
            )
            clock.advance(1)
        columns = history.columns()
        self.assertEqual(columns["time"], [100, 101, 102])
        self.assertEqual(columns["direct"], [0, 1, 2])
        self.assertEqual(columns["bytes"], [5, 6, 7])
        self.assertEqual(columns["waiting"], [0, 0, 0])

    def test_bounded(self) -> None:
        """An hour."""
        clock = Clock()
        history = History(clock.seconds, clock.seconds)
        for _ in range(1000):
            history.add({})
            clock.advance(1)
        times = history.columns()["time"]
        self.assertEqual((times[0], times[-1]), (1000 - 361, 999))

    def test_clock_is_set(self) -> None:
        """Whatever the wall clock does, looks are as far apart as they were, and end now."""
        clock, dates = Clock(), [1e9, 1e9 + 7200, 1e9 - 7200]
        history = History(clock.seconds, lambda: dates[0])
        while True:
            history.add({})
            times = history.columns()["time"]
            self.assertEqual(times[-1], dates[0])
            for before, after in itertools.pairwise(times):
                self.assertEqual(after - before, 10)
            clock.advance(10)
            if not dates[1:]:
                return
            del dates[0]


class PageTests(SynchronousTestCase):
    """The page needs no other resources."""

    def test_self_contained(self) -> None:
        text = PAGE.decode()
        for source in re.findall(r"""(?:src|href|action)\s*=\s*["']([^"']*)""", text):
            self.assertTrue(source.startswith("data:"), source)
        self.assertEqual(re.findall(r"https?://(?!www\.w3\.org/2000/svg)\S*", text), [])
        for forbidden in ("@import", "url(", "innerHTML", "eval(", " style=", " on"):
            if forbidden == " on":
                self.assertNotRegex(text, r"<[^>]* on\w+=")
            else:
                self.assertNotIn(forbidden, text)

    def test_policy(self) -> None:
        """Nothing but what is in it, and questions to the same port."""
        parts = dict(part.split(" ", 1) for part in POLICY.split("; "))
        self.assertEqual(parts["default-src"], "'none'")
        self.assertEqual(parts["connect-src"], "'self'")
        self.assertRegex(parts["script-src"], "^'sha256-[^ ]*'$")
        self.assertRegex(parts["style-src"], "^'sha256-[^ ]*'$")


class FakePorts:
    """Stands in for what listens."""

    def __init__(self, host: str) -> None:
        self._host = IPv4Address("TCP", host, 9180)
        self.open = True

    def getHost(self) -> Any:
        return self._host

    def stopListening(self) -> Deferred[None]:
        self.open = False
        return succeed(None)


class AdminTests(SynchronousTestCase):
    """Where it listens, and when it collects numbers."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.looks = 0
        self.ports: list[FakePorts] = []
        self.patch(service, "make_endpoints", self.made)
        self.patch(service, "listen", self.listen)

    def made(self, reactor: object, places: list[str]) -> list[str]:
        return places

    def listen(self, places: list[str], factory: object) -> list[FakePorts]:
        self.places = places
        self.ports = [FakePorts(places[0].partition(":")[0])]
        return self.ports

    def look(self) -> Deferred[Sample]:
        self.looks += 1
        return succeed({"rdv_outcomes": {"direct": self.looks}})

    def start(self, place: str, expires: float | None = None) -> tuple[Admin, list[str]]:
        """Start one; what is logged."""
        admin = Admin(self.clock, place, self.look, lambda: expires)
        with capturedLogs() as said:
            admin.start()
        self.addCleanup(admin.stop)
        # Shown even where only failures are.
        warnings = [each for each in said if each["log_level"] is LogLevel.critical]
        return admin, list(map(formatEvent, warnings))

    def test_a_port_alone(self) -> None:
        """It is of this host, and of nobody else."""
        self.assertEqual(self.start("9180")[1], [])
        self.assertEqual(self.places, ["127.0.0.1:9180"])

    def test_open(self) -> None:
        """To others, perhaps: it is said."""
        _, said = self.start("192.0.2.1:9180")
        self.assertEqual(
            said, ["the admin port is not on loopback: anyone who can reach it can read it"]
        )

    def test_without_the_library(self) -> None:
        """It is said at once how to get it."""
        self.patch(prometheus, "is_available", lambda: False)
        self.assertEqual(self.start("9180")[1], [prometheus.MISSING])

    def test_in_use(self) -> None:
        """It is there as soon as whoever has the place has left, be it a port or a file."""
        for reason in (OSError(errno.EADDRINUSE, "in use"), "Cannot acquire lock"):
            failing = self.failing(CannotListenError(None, 9180, reason))
            self.patch(service, "listen", failing)
            self.ports, self.looks = [], 0
            admin, said = self.start("9180")
            self.assertEqual(said, ["no admin port yet: cannot listen"])
            self.clock.advance(1)
            self.patch(service, "listen", self.listen)
            self.assertEqual(self.ports, [])
            self.clock.advance(1)
            self.assertEqual((len(self.ports), self.looks), (1, 1))
            self.successResultOf(admin.stop())
            self.patch(service, "listen", failing)
            with capturedLogs() as events:
                admin.start(patient=True)
            self.assertEqual(events, [])
            self.successResultOf(admin.stop())
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cannot_be_had(self) -> None:
        """That is for the operator to mend."""
        reason = CannotListenError(None, 80, OSError(errno.EACCES, "denied"))
        self.patch(service, "listen", self.failing(reason))
        self.assertRaises(RdvError, Admin(self.clock, "80", self.look, lambda: None).start)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def failing(self, reason: Exception) -> Any:
        """Stands in for what listens."""

        def listen(places: list[str], factory: object) -> list[FakePorts]:
            raise RdvError("cannot listen") from reason

        return listen

    def test_looks(self) -> None:
        """Every ten seconds, as long as it listens."""
        admin, _ = self.start("9180")
        self.assertEqual(self.looks, 1)
        self.clock.advance(10)
        self.clock.advance(10)
        self.assertEqual(self.looks, 3)
        self.successResultOf(admin.stop())
        self.assertFalse(self.ports[0].open)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_look_fails(self) -> None:
        """The next one may not."""
        self.patch(self, "look", lambda: fail(ZeroDivisionError()))
        self.start("9180")
        self.clock.advance(10)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_what_it_adds(self) -> None:
        """What is the same for all workers."""
        admin, _ = self.start("9180", expires=5e9)
        sample = self.successResultOf(admin.sample())
        self.assertEqual(sample["rdv_certificate_expiry_timestamp_seconds"], {NO_LABELS: 5e9})
        ((build, one),) = sample["rdv_build_info"].items()
        self.assertEqual((len(build.split()), one), (3, 1))
        self.assertGreater(sample["rdv_start_time_seconds"][NO_LABELS], 1.7e9)
        self.assertNotIn(
            "rdv_certificate_expiry_timestamp_seconds",
            self.successResultOf(self.start("9180")[0].sample()),
        )


class MakeTests(SynchronousTestCase):
    def test_not_by_default(self) -> None:
        self.assertIsNone(make_admin(Clock(), ServerSettings(), lambda: succeed({}), None))

    def test_not_loaded(self) -> None:
        """By a server that has none."""
        code = (
            "import sys, rdv.server.site.service, rdv.server.workers.parent\n"
            "print([each for each in sys.modules if each.startswith(('rdv.server.site.admin.', "
            "'prometheus'))])"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        self.assertEqual(found.stdout, b"['rdv.server.site.admin.making']\n")

    def test_nonsense(self) -> None:
        settings = ServerSettings(admin="nonsense:1")
        error = self.assertRaises(
            BadEndpoint, make_admin, Clock(), settings, lambda: succeed({}), None
        )
        self.assertIsInstance(error, RdvError)
