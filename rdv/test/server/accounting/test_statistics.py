"""
What a rendezvous counts, and what it reports of that.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis.strategies import ip_addresses
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import Address, space_of
from rdv.server import Pair
from rdv.server.accounting.metrics import METRICS, NO_LABELS, Sample, added, lasting
from rdv.server.accounting.statistics import Histogram, Statistics, kind_of
from rdv.server.limits.admission import Admission
from rdv.server.limits.numbers import Limits
from rdv.server.site.parts import make_site
from rdv.server.site.sampling import sample_of
from rdv.settings import ServerSettings
from rdv.test.server.doubles import CONFIRM, HELLO, ServerTestCase, WebTestCase, request


class HistogramTests(SynchronousTestCase):
    def test_bounds(self) -> None:
        """A value that is a bound is up to it."""
        histogram = Histogram((1.0, 5.0))
        for value in (0.0, 1.0, 1.5, 5.0, 5.5, 100.0):
            histogram.add(value)
        self.assertEqual((histogram.counts, histogram.sum), ([2, 2, 2], 113.0))


class KindTests(SynchronousTestCase):
    @given(ip_addresses())
    def test_space(self, ip: Any) -> None:
        """It is the space's name, however it was found out."""
        if getattr(ip, "ipv4_mapped", None) is None:
            name = str(space_of(ip).name)
            self.assertEqual(kind_of(str(Address(ip, 80))), name.lower().replace("none", "unknown"))

    def test_edges(self) -> None:
        for observed, kind in (
            ("", "unknown"),
            ("0.0.0.0:1", "unknown"),
            ("172.15.0.1:1", "public4"),
            ("172.16.0.1:1", "private4"),
            ("192.168.1.1:1", "private4"),
            ("192.169.1.1:1", "public4"),
            ("169.254.1.1:1", "link4"),
            ("223.255.255.255:1", "public4"),
            ("224.0.0.1:1", "unknown"),
            ("[2001:db8::7]:1", "public6"),
            ("[2::7]:1", "public6"),
            ("[fc00::7]:1", "private6"),
            ("[fe80::7]:1", "link6"),
            ("[::1]:1", "loopback"),
        ):
            self.assertEqual(kind_of(observed), kind, observed)


class SampleTests(ServerTestCase):
    """What is reported, as it happens."""

    def sample(self) -> Sample:
        """It goes through JSON as it is, and has no name that is not in the table."""
        sample = sample_of(self.rendezvous)
        self.assertEqual(json.loads(json.dumps(sample)), sample)
        self.assertLessEqual(set(sample), {metric.name for metric in METRICS})
        return sample

    def assert_counted(self, **wanted: dict[str, float]) -> None:
        """These, and nothing but zeros beside."""
        sample = self.sample()
        for name, values in wanted.items():
            found = {labels: value for labels, value in sample[f"rdv_{name}"].items() if value}
            self.assertEqual(found, values, name)

    def test_nobody(self) -> None:
        """Every metric of a process is there from the beginning."""
        sample = self.sample()
        self.assertEqual(sample["rdv_requests"], {"dialer": 0, "acceptor": 0})
        self.assertEqual(sample["rdv_matches"], {NO_LABELS: 0})
        self.assertGreater(sample["rdv_max_descriptors"]["0"], 10)
        self.assertGreater(sample["rdv_open_descriptors"]["0"], 2)
        self.assertGreater(sample["rdv_cpu_seconds"]["0"], 0)

    def test_waiting(self) -> None:
        for number in range(3):
            self.accept(b"token %d" % number, observed="198.51.100.4:40112")
        self.dial(b"another", observed="[2001:db8::7]:1")
        self.assert_counted(
            requests={"dialer": 1, "acceptor": 3},
            clients_waiting={"dialer": 1, "acceptor": 3},
            observed_addresses={"public4": 3, "public6": 1},
            pairs={},
        )

    def test_pair(self) -> None:
        """In each of its states. What it relays is counted while it does."""
        acceptor = self.accept()
        self.clock.advance(3)
        dialer = self.dial()
        self.assert_counted(
            matches={NO_LABELS: 1},
            pairs={"meeting": 1},
            wait_seconds={"5.0": 1, "sum": 3.0},
            outcomes={},
        )
        acceptor.here.write(HELLO)
        dialer.here.write(CONFIRM + b"four")
        self.settle()
        self.assert_counted(pairs={"relayed": 1}, relayed_bytes={"dialer": 4})
        acceptor.here.write(b"thirteen more")
        self.clock.advance(20)
        self.assert_counted(relayed_bytes={"dialer": 4, "acceptor": 13}, relayed_pair_bytes={})
        self.close_all(dialer, acceptor)
        self.assert_counted(
            pairs={},
            clients_waiting={},
            outcomes={"relayed": 1},
            pair_ends={"dialer_closed": 1},
            relayed_bytes={"dialer": 4, "acceptor": 13},
            relay_duration_seconds={"30.0": 1, "sum": 20.0},
            relayed_pair_bytes={"1024.0": 1, "sum": 17.0},
        )

    def test_direct(self) -> None:
        """It has no part in what is told of relayed ones."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        self.close_all(dialer, acceptor)
        self.assert_counted(
            outcomes={"direct": 1}, relay_duration_seconds={}, relayed_pair_bytes={}
        )

    def test_refused(self) -> None:
        """By a word of ours for each reason."""
        self.accept()
        self.accept()
        self.clock.advance(300)
        self.dial(early=b"x")
        self.rendezvous.close()
        self.dial()
        self.assert_counted(
            refusals={
                "409 replaced": 1,
                "408 nobody_came": 1,
                "400 early_bytes": 1,
                "503 draining": 1,
            },
            draining={"0": 1},
        )

    def test_hook(self) -> None:
        """How long it takes. What it says to clients is its own, and no label."""
        deciding: Deferred[None] = Deferred()
        pairs: list[Pair] = []

        def serve(pair: Pair) -> Deferred[None]:
            pairs.append(pair)
            return deciding

        self.open(serve=serve)
        self.accept()
        self.dial()
        self.clock.advance(2)
        pairs[0].reject(402, "user@example.com has to pay")
        deciding.callback(None)
        self.assert_counted(
            hook_duration_seconds={"2.5": 1, "sum": 2.0},
            refusals={"402 payment_required": 2},
            pair_ends={"refused": 1},
            outcomes={"failed": 1},
            matches={},
        )

    def test_bounded(self) -> None:
        """Whatever a hook says."""
        statistics = Statistics()
        for status in range(400, 600):
            statistics.refused(status, f"number {status}")
        self.assertEqual(statistics.refusals[599, "other"], 1)
        self.assertEqual(statistics.refusals[503, "service_unavailable"], 1)


class ResourceTests(WebTestCase):
    def test_refused(self) -> None:
        """By the resource, before it is anybody's leg."""
        self.browse(b"GET /rdv HTTP/1.1\r\nHost: a\r\n\r\n")
        self.browse(request(rdv_token=None))
        self.rendezvous.close()
        self.browse(request())
        refusals = sample_of(self.rendezvous)["rdv_refusals"]
        wanted = {"426 upgrade_required": 1, "400 bad_request": 1, "503 draining": 1}
        self.assertEqual(refusals, wanted)


class SiteTests(WebTestCase):
    def test_refused(self) -> None:
        """By the site, which answers what is no request."""
        self.factory = make_site(self.clock, ServerSettings(), self.rendezvous)
        self.browse(b"nonsense\r\n")
        self.browse(request(more=b"X: %s\r\n" % (b"x" * (1 << 14))))
        refusals = sample_of(self.rendezvous)["rdv_refusals"]
        wanted = {"400 bad_request": 1, "431 request_header_fields_too_large": 1}
        self.assertEqual(refusals, wanted)

    def test_limits(self) -> None:
        """Each by its name, and what it has kept out."""
        self.rendezvous.admission = Admission(self.clock, Limits(connections=1))
        self.factory = make_site(self.clock, ServerSettings(), self.rendezvous)
        for _ in range(3):
            self.browse()
        hits = sample_of(self.rendezvous)["rdv_limit_hits"]
        self.assertEqual({name: count for name, count in hits.items() if count}, {"connections": 2})
        self.assertIn("waiting", hits)


class SumTests(SynchronousTestCase):
    """Several processes."""

    def test_added(self) -> None:
        one: Sample = {
            "rdv_requests": {"dialer": 1, "acceptor": 2},
            "rdv_draining": {"0": 1},
            "rdv_certificate_expiry_timestamp_seconds": {NO_LABELS: 20},
        }
        other: Sample = {
            "rdv_requests": {"dialer": 10},
            "rdv_draining": {"1": 0},
            "rdv_certificate_expiry_timestamp_seconds": {NO_LABELS: 10},
        }
        self.assertEqual(
            added([one, other]),
            {
                "rdv_requests": {"dialer": 11, "acceptor": 2},
                "rdv_draining": {"0": 1, "1": 0},
                "rdv_certificate_expiry_timestamp_seconds": {NO_LABELS: 10},
            },
        )
        self.assertEqual(one["rdv_requests"], {"dialer": 1, "acceptor": 2})
        self.assertEqual(added([]), {})

    def test_lasting(self) -> None:
        """Of who is gone, gauges are."""
        sample: Sample = {
            "rdv_requests": {"dialer": 1},
            "rdv_wait_seconds": {"sum": 1.0},
            "rdv_pairs": {"meeting": 3},
        }
        self.assertEqual(set(lasting(sample)), {"rdv_requests", "rdv_wait_seconds"})

    def test_names(self) -> None:
        """As Prometheus wants them: base units, and no ``_total``, which counters get."""
        for metric in METRICS:
            self.assertRegex(metric.name, "^rdv_[a-z_]+$")
            self.assertNotRegex(metric.name, "_(total|count|sum|bucket|ms|kb|minutes)$")
            self.assertTrue(metric.text.endswith("."))
        self.assertEqual(len({metric.name for metric in METRICS}), len(METRICS))
