"""
The admin port of a real server: its numbers are those of a load, in each format.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
from http.client import HTTPConnection
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cryptography.x509 import load_pem_x509_certificate
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from rdv.server.accounting.metrics import METRICS
from rdv.test.certificates import Authority
from rdv.test.doubles import HalfWire
from rdv.test.sockets import socket_path
from rdv.wire import hello_line, token_hint
from tests.browser import Browser, colours
from tests.documents import runs
from tests.processes import ROOT, Program
from tests.proxies import installed
from tests.workers import WorkersTestCase

CERTIFICATE = b"-----BEGIN CERTIFICATE"
RULES = ROOT / "contrib" / "prometheus" / "rules.yml"
DASHBOARD = ROOT / "contrib" / "grafana" / "rdv.json"
#: Alerts: the time of evaluation, their labels, their text, and the series that trigger them.
ALERTS = (
    (
        "RdvCertificateExpires",
        "2h",
        {"severity": "warning", "instance": "one"},
        "The certificate of one expires in 9d 22h 0m 0s",
        [("rdv_certificate_expiry_timestamp_seconds", "", "864000x300")],
    ),
    (
        "RdvWorkersRestart",
        "1h",
        {"severity": "warning", "instance": "one"},
        "60 workers of one died within an hour",
        [("rdv_worker_restarts_total", "", "0+1x100")],
    ),
    (
        "RdvWorkerSilent",
        "5m",
        {"severity": "critical", "instance": "one", "worker": "1"},
        "Worker 1 of one is not responding",
        [("rdv_worker_up", ', worker="1"', "0x100"), ("rdv_worker_up", ', worker="0"', "1x100")],
    ),
    (
        "RdvDirectPathsRare",
        "1h",
        {"severity": "warning", "instance": "one"},
        "Only 10% of the pairs of one find a direct path",
        [
            ("rdv_outcomes_total", ', outcome="direct"', "0+1x100"),
            ("rdv_outcomes_total", ', outcome="relayed"', "0+9x100"),
            ("rdv_outcomes_total", ', outcome="failed"', "0+90x100"),
        ],
    ),
    (
        "RdvClientsHidden",
        "1h",
        {"severity": "warning", "instance": "one"},
        "one sees hardly any public addresses: a proxy seems to hide its clients",
        [
            ("rdv_observed_addresses_total", ', kind="private4"', "0+99x100"),
            ("rdv_observed_addresses_total", ', kind="public4"', "0+1x100"),
        ],
    ),
    (
        "RdvDescriptorsShort",
        "10m",
        {"severity": "warning", "instance": "one", "worker": "0"},
        "Worker 0 of one uses 80% of its descriptors",
        [
            ("rdv_open_descriptors", ', worker="0"', "800x100"),
            ("rdv_max_descriptors", ', worker="0"', "1000x100"),
        ],
    ),
)


class UnixConnection(HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


class AdminTestCase(WorkersTestCase):
    """
    A server with an admin port.

    :ivar admin: its number.
    """

    async def serve_with_admin(self, *options: str) -> Program:
        server = await self.serve(*options, "--admin", "127.0.0.1:0")
        found = await server.line(r"AdminSite .*starting on (\d+)$")
        self.admin = int(found[1])
        self.server = server
        return server

    async def fetch(self, path: str, connection: HTTPConnection | None = None) -> bytes:
        """The body of a good answer."""

        def get() -> bytes:
            asking = connection or HTTPConnection("127.0.0.1", self.admin, timeout=20)
            try:
                asking.request("GET", path)
                answer = asking.getresponse()
                self.assertEqual(answer.status, 200)
                return answer.read()
            finally:
                asking.close()

        return await deferToThread(get)

    async def status(self, *up: bool) -> dict[str, Any]:
        """
        How it is.

        :param up: which of its processes answer: on a busy machine one may be late once.
        """
        while True:
            found: dict[str, Any] = json.loads(await self.fetch("/status"))
            if not up or tuple(each["up"] for each in found["workers"]) == up:
                return found

    async def direct(self, token: bytes) -> None:
        """A pair that finds a direct path."""
        acceptor, dialer = [await self.ask(method, token) for method in (b"ACCEPT", b"DIAL")]
        await acceptor.until(b"\r\n\r\n")
        acceptor.write(hello_line(token))
        await dialer.until(hello_line(token))
        await self.part(dialer, acceptor)
        await self.counted("direct", token)

    async def part(self, *wires: HalfWire) -> None:
        """They leave in good order."""
        for wire in wires:
            gone = wire.lost()
            wire.transport.loseConnection()  # type: ignore[union-attr]
            await gone

    async def counted(self, event: str, token: bytes) -> None:
        """The server knows of it. The first letters of the token are its own."""
        await self.server.line(f"[] ]{event}: .*{re.escape(token_hint(token))}")


class NumbersTests(AdminTestCase):
    if Browser.program is None:
        skip = "chromium is not installed"

    async def load(self) -> None:
        """Three direct pairs, two relayed ones of which one has ended, and two who wait."""
        for number in range(3):
            await self.direct(b"%d direct" % number)
        tokens = b"3 relayed", b"4 relayed"
        pairs = [await self.relayed(token) for token in tokens]
        for pair in pairs:
            await self.exchange(pair, b"x" * 1000)
        await self.part(*pairs[0])
        await self.counted("relayed", tokens[0])
        for token in (b"5 waiting", b"6 waiting", b"6 waiting"):  # the last one replaces another
            await self.ask(b"ACCEPT", token)
            await self.counted("waiting", token)
        await self.counted("refused", b"6 waiting")

    async def test_numbers(self) -> None:
        """As JSON, for Prometheus, and on the page, over all workers."""
        await self.serve_with_admin("--workers", "2")
        await self.load()
        status = await self.status(True, True)
        self.assertEqual(
            status["outcomes"], {"direct": 3, "relayed": 1, "failed": 0, "abandoned": 0}
        )
        self.assertEqual(status["matches"], 5)
        self.assertEqual(status["pairs"], {"meeting": 0, "relayed": 1})
        self.assertEqual(status["relayed_bytes"], {"dialer": 2000, "acceptor": 2000})
        self.assertEqual(status["requests"], {"dialer": 5, "acceptor": 8})
        self.assertEqual(status["direct_share"], 0.75)
        text = await self.fetch("/metrics")
        found = {
            (each.name, *each.labels.values()): each.value
            for family in text_string_to_metric_families(text.decode())
            for each in family.samples
        }
        for name, value in (
            (("rdv_outcomes_total", "direct"), 3),
            (("rdv_outcomes_total", "relayed"), 1),
            (("rdv_matches_total",), 5),
            (("rdv_clients_waiting", "acceptor"), 2),
            (("rdv_pairs", "relayed"), 1),
            (("rdv_relayed_bytes_total", "dialer"), 2000),
            (("rdv_refusals_total", "replaced", "409"), 1),
            (("rdv_observed_addresses_total", "loopback"), 13),
            (("rdv_relayed_pair_bytes_sum",), 2000),
            (("rdv_worker_up", "1"), 1),
        ):
            self.assertEqual(found[name], value, name)
        self.assertNotIn(b"127.0.0.1", text)
        await self.check_page()
        checking = Program(self, installed("promtool"), "check", "metrics")
        checking.write(text)
        checking.close_stdin()
        self.assertEqual(await checking.ended, 0, checking.report())
        self.assertEqual(bytes(checking.stderr), b"")

    async def check_page(self) -> None:
        """It says the same, and the browser has nothing to complain about."""
        page = await Browser(self).contents(f"http://127.0.0.1:{self.admin}/", 3)
        for name, text in (
            ("state", "ok"),
            ("waiting", "2"),
            ("relaying", "1"),
            ("matches", "5"),
            ("share", "75 %"),
            ("volume", "3.9 KiB"),
            ("n-direct", "3"),
            ("n-relayed", "1"),
            ("from-dialer", "2.0 KiB"),
        ):
            found = re.search(rf'id="{name}"[^>]*>([^<]*)<', page)
            assert found is not None, name
            self.assertEqual(found[1], text, name)
        place = f"http://127.0.0.1:{self.admin}/"
        for dark, width, back in (
            (False, 1040, b"\xf6\xf7\xf9"),
            (True, 360, b"\x14\x18\x1f"),
        ):
            picture = await Browser(self).screenshot(place, dark=dark, width=width)
            seen = colours(picture)
            self.assertIn(back, sorted(seen, key=lambda each: seen[each])[-2:])
            self.assertGreater(len(seen), 50)
        for row in ("<td>409 replaced</td><td>1</td>", "<td>loopback</td><td>13</td>"):
            self.assertIn(row, page)


class LifeTests(AdminTestCase):
    async def test_a_worker_stops_and_dies(self) -> None:
        """The others are there, and nothing that was counted is lost."""
        await self.serve_with_admin("--workers", "2")
        for number in range(6):
            await self.direct(b"%d direct" % number)
        status = await self.status(True, True)  # each has reported it once
        self.assertEqual(status["outcomes"]["direct"], 6)
        stopped = Program(self, "/bin/kill", "-STOP", str(self.processes()[1]))
        await stopped.ended
        status = await self.status(True, False)
        self.assertEqual(status["outcomes"]["direct"], 6)
        killed = Program(self, "/bin/kill", "-KILL", str(self.processes()[1]))
        await killed.ended
        await self.server.line("worker 1 died")
        status = await self.status()
        self.assertEqual((status["worker_restarts"], status["outcomes"]["direct"]), (1, 6))

    async def test_unix(self) -> None:
        """In the file system; with a server of one process, which has a certificate."""
        path = socket_path(self)
        pem = Authority().issue("127.0.0.1")
        tls = ("--tls", "127.0.0.1:0", "--cert", self.file_of(pem))
        self.server = await self.serve("--admin", f"unix:{path}", *tls)
        await self.direct(b"token")
        status = json.loads(await self.fetch("/status", UnixConnection(path)))
        expires = load_pem_x509_certificate(pem[pem.index(CERTIFICATE) :]).not_valid_after_utc
        self.assertEqual(status["certificate_expires"], expires.timestamp())
        self.assertEqual(status["requests"], {"dialer": 1, "acceptor": 1})
        self.server.signal("TERM")
        self.assertEqual(await self.server.ended, 0)
        self.assertFalse(Path(path).exists())

    async def test_in_use(self) -> None:
        """Clients are served all the same; it is there when the place is free."""
        for place in ("127.0.0.1:{port}", "unix:{path}"):
            folder = mkdtemp()
            self.addCleanup(shutil.rmtree, folder)
            taken = socket.create_server(("127.0.0.1", 0))
            self.addCleanup(taken.close)
            self.admin = taken.getsockname()[1]
            path = f"{folder}/admin.sock"
            place = place.format(port=self.admin, path=path)
            first = await self.serve("--admin", f"unix:{path}")
            self.server = await self.serve("--admin", place)
            await self.server.line("no admin port yet: cannot listen on ")
            await self.direct(b"token")
            taken.close()
            first.signal("TERM")
            await self.server.line("the admin port is open")
            connection = UnixConnection(path) if "unix" in place else None
            status = json.loads(await self.fetch("/status", connection))
            self.assertEqual(status["matches"], 1)

    async def test_many(self) -> None:
        """Who holds connections to it is no burden to clients, nor for ever to the operator."""
        await self.serve_with_admin()
        held = []
        for _ in range(100):
            held.append(socket.create_connection(("127.0.0.1", self.admin)))
            self.addCleanup(held[-1].close)
        await self.direct(b"token")
        for each in held:
            each.close()
        self.assertEqual((await self.status())["matches"], 1)


class ContribTests(TestCase):
    """The files for Prometheus and Grafana."""

    timeout = 60

    async def promtool(self, *arguments: str) -> None:
        program = Program(self, installed("promtool"), *arguments)
        self.assertEqual(await program.ended, 0, program.report())

    async def test_rules(self) -> None:
        """They can be read, and warn of what they are to warn of."""
        await self.promtool("check", "rules", str(RULES))
        tests = [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f'{name}{{instance="one"{labels}}}', "values": values}
                    for name, labels, values in series
                ],
                "alert_rule_test": [
                    {
                        "eval_time": time,
                        "alertname": alert,
                        "exp_alerts": [
                            {"exp_labels": wanted, "exp_annotations": {"summary": summary}}
                        ],
                    }
                ],
            }
            for alert, time, wanted, summary, series in ALERTS
        ]
        path = Path(self.mktemp()).absolute()
        content = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
        path.write_text(json.dumps(content))  # JSON is also YAML
        await self.promtool("test", "rules", str(path))

    @runs("docs/monitoring.rst", "scrape_configs")
    async def test_configuration(self, config: str) -> None:
        path = Path(self.mktemp()).absolute()
        path.write_text(config + "\n")
        await self.promtool("check", "config", str(path))

    async def test_dashboard(self) -> None:
        """Prometheus understands what it asks for."""
        rules = []
        for number, query in enumerate(queries()):
            for name, value in (("$instance", ".*"), ("$__rate_interval", "1m")):
                query = query.replace(name, value)
            rules.append({"record": f"dashboard:{number}", "expr": query})
        path = Path(self.mktemp()).absolute()
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        await self.promtool("check", "rules", str(path))

    def test_names(self) -> None:
        """Of metrics and labels: all are ours, and every alert is explained."""
        rules = RULES.read_text()
        labels = {
            f"{metric.name}{suffix}": {*metric.labels, "instance", "job", "le"}
            for metric in METRICS
            for suffix in ("", "_total", "_bucket", "_sum", "_count")
        }
        self.assertGreater(len(queries()), 20)
        for text in (*queries(), rules):
            for name, selected in re.findall(r"\b(rdv_\w+)(?:\{([^}]*)\})?", text):
                self.assertIn(name, labels, text)
                self.assertLessEqual(set(re.findall(r"(\w+)[!=~]+\"", selected)), labels[name])
        page = (ROOT / "docs" / "monitoring.rst").read_text()
        for alert in re.findall(r"alert: (\w+)", rules):
            self.assertIn(f"``{alert}``", page)
        for metric in METRICS:
            name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
            self.assertIn(f"``{name}``", page)


def queries() -> list[str]:
    """Those of the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]
