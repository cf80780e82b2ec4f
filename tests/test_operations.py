"""
The pages for operators: their commands and configurations are run, on ports of this host.
"""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from rdv.addresses import AddressSpace
from rdv.client import Client, Connection, tls_policy
from rdv.errors import ServerRefused
from rdv.settings import server_settings
from rdv.test.certificates import CertificateFiles
from tests.documents import (
    REACTOR,
    Shell,
    listening_port,
    meet,
    replaced,
    runs,
    shape,
)
from tests.processes import ROOT, Program
from tests.proxies import start_haproxy, start_nginx
from tests.talker import Talker

OPERATIONS = "docs/operations.rst"
PROXIES = "docs/proxies.rst"
MONITORING = "docs/monitoring.rst"


class OperationsTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)

    def start(self, command: str, *changes: tuple[str, str]) -> Program:
        """Start a server as the page does, but for its ports."""
        return self.shell.start(replaced(command, *changes))

    async def meet(self, url: str, token: str = "t", **options: Any) -> list[Connection]:
        """
        Connect an acceptor and a dialer through the relay.

        The server has to have seen where they really are.
        """
        both = await meet(url, token, **options)
        for connection in both:
            own: Any = connection.getHost()
            self.assertEqual(str(connection.observed_address), f"127.0.0.1:{own.port}")
        return both

    def test_what_needs_a_generation(self) -> None:
        """The page names all settings that SIGHUP does not change, and no others."""
        page = (ROOT / OPERATIONS).read_text()
        names = page.partition("`Upgrading`_ applies them:")[2].partition(".")[0]
        self.assertEqual(
            re.findall(r"``([a-z-]+)``", names),
            [each.flag for each in server_settings() if each.at_start],
        )

    async def meet_and_part(self, url: str, token: str = "t", **options: Any) -> None:
        for connection in await self.meet(url, token, **options):
            connection.abortConnection()

    @runs(OPERATIONS, "twist rdv --port 8080")
    async def test_start(self, command: str) -> None:
        port = await listening_port(self.start(command, ("8080", "127.0.0.1:0")))
        await self.meet_and_part(f"http://127.0.0.1:{port}")

    @runs(OPERATIONS, "lobby-timeout =", "--check-config", "lobby-timeuot")
    async def test_configuration(self, content: str, command: str, refusals: str) -> None:
        """It is checked, with mistakes and without, and both commands serve what it says."""
        file = self.shell.folder / "rdv.toml"
        file.write_text(replaced(content, ("lobby-timeout", "lobby-timeuot"), ("30", '"5x"')))
        checked = self.start(command)
        self.assertEqual(await checked.ended, 2, checked.report())
        self.assertEqual(
            sorted(checked.stderr.decode().splitlines()), sorted(refusals.splitlines())
        )
        file.write_text(replaced(content, ("*:8080", "127.0.0.1:0"), ("[::1]:8081", "127.0.0.1:0")))
        for program in (command, command.replace("rdv serve", "twist rdv")):
            checked = self.start(program)
            self.assertEqual(await checked.ended, 0, checked.report())
            self.assertEqual(checked.stderr, b"OK\n")
        port = await listening_port(self.start("twist rdv --config rdv.toml"))
        await self.meet_and_part(f"http://127.0.0.1:{port}/rdv")

    @runs(OPERATIONS, "RDV_SERVE_LISTEN")
    async def test_environment(self, command: str) -> None:
        """It is what a container has."""
        here = ("*:8080", "127.0.0.1:0"), ("[::1]:8081", "127.0.0.1:0")
        program = self.shell.script(replaced(command, *here, ("twist", "exec twist")))
        await self.meet_and_part(f"http://127.0.0.1:{await listening_port(program)}")

    @runs(MONITORING, "--admin 127.0.0.1:9180")
    async def test_admin(self, command: str) -> None:
        """Beside the port for clients."""
        program = self.start(command, ("8080", "127.0.0.1:0"), ("127.0.0.1:9180", "127.0.0.1:0"))
        port = await listening_port(program)
        await self.meet_and_part(f"http://127.0.0.1:{port}")
        await program.line(r"AdminSite .*starting on \d+")

    @runs(OPERATIONS, "--replace")
    async def test_replace(self, commands: str) -> None:
        """A new generation takes its place, and it is said so."""
        first, install, replace = commands.splitlines()
        self.assertEqual(install, "pip install --upgrade .")
        path = self.shell.folder / "rdv.pid"
        here = ("/run/rdv/rdv.pid", str(path))
        server = self.start(first, ("8080", "127.0.0.1:0"), here)
        await server.line("^LISTENING: ")
        replacing = self.start(replace, here)
        self.assertEqual(await replacing.ended, 0, replacing.report())
        os.kill(int(path.read_text()), signal.SIGTERM)
        self.assertEqual(await server.ended, 0, server.report())
        await replacing.line(r"^REPLACED: process \d+ by process \d+$")

    @runs(OPERATIONS, "--workers 2")
    async def test_workers(self, command: str) -> None:
        """Two processes, one port."""
        program = self.start(command, ("8080", "127.0.0.1:0"))
        port = await listening_port(program)
        for number in range(8):
            await self.meet_and_part(f"http://127.0.0.1:{port}", f"token {number}")
        for worker in range(2):
            await program.line(rf'"worker": {worker}\b')

    @runs(OPERATIONS, "--path /rdv --port")
    async def test_ports(self, command: str) -> None:
        """Two ports and one lobby, under one path."""
        files = CertificateFiles(str(self.shell.folder / "live"))
        here = ("--port 8080", "--port 127.0.0.1:0"), ("8443", "127.0.0.1:0")
        names = ("fullchain", "live/chain"), ("privkey", "live/key")
        program = self.start(command, *here, *names)
        plain = (await program.line(r"Site starting on (\d+)"))[1]
        under_tls = (await program.line(r"Site \(TLS\) starting on (\d+)"))[1]
        policy = tls_policy(ca=files.root.pem)
        client = Client(REACTOR, spaces=AddressSpace.NONE, tls=policy)
        sides = [
            client.accept(f"http://127.0.0.1:{plain}/rdv", "t"),
            client.dial(f"https://127.0.0.1:{under_tls}/rdv", "t"),
        ]
        for connection in await gatherResults(sides):
            connection.abortConnection()
        elsewhere = client.dial(f"http://127.0.0.1:{plain}/", "t")
        error: Any = await self.assertFailure(elsewhere, ServerRefused)
        self.assertEqual(error.status, 404)

    @runs(OPERATIONS, "twist rdv --config rdv.toml", "letsencrypt")
    async def test_tls(self, command: str, content: str) -> None:
        """With what certbot makes, and nothing but TLS."""
        live = self.shell.folder / "live"
        files = CertificateFiles(str(live))
        names = ("fullchain", "chain"), ("privkey", "key")
        here = ("/etc/letsencrypt/live/example.com", str(live)), ("*:443", "127.0.0.1:0")
        content = replaced(content, *here, *names)
        (self.shell.folder / "rdv.toml").write_text(content)
        port = await listening_port(self.start(command))
        policy = tls_policy(ca=files.root.pem)
        await self.meet_and_part(f"https://127.0.0.1:{port}/rdv", tls=policy)

    @runs(PROXIES, "send-proxy-v2", "haproxy:tcp:8081")
    async def test_haproxy_tcp(self, config: str, command: str) -> None:
        """In TCP mode, with half-close."""
        server = await listening_port(self.start(command, ("8081", "0")))
        here = (":8080", "fd@0"), ("8081", str(server))
        port = start_haproxy(self, replaced(config, *here))
        acceptor, dialer = await self.meet(f"http://127.0.0.1:{port}")
        answers, asks = Talker(), Talker()
        acceptor.attach(answers)
        dialer.attach(asks)
        for one, other, words in ((asks, answers, b"question"), (answers, asks, b"answer")):
            one.write(words)
            one.end()
            self.assertEqual(await other.ended(), words)
        acceptor.loseConnection()
        dialer.loseConnection()

    @runs(PROXIES, "--port 127.0.0.1:8081", "http-request", "proxy_pass")
    async def test_http_proxies(self, command: str, haproxy: str, nginx: str) -> None:
        """In HTTP mode, with the headers that say where clients are."""
        for name, config, listen in (
            ("haproxy", haproxy, (":8080", "fd@0")),
            ("nginx", nginx, ("listen 8080", "listen LISTEN")),
        ):
            server = await listening_port(self.start(command, ("8081", "0")))
            config = replaced(config, listen, ("8081", str(server)))
            if name == "haproxy":
                port = start_haproxy(self, config)
            else:
                port = await start_nginx(self, config)
            await self.meet_and_part(f"http://127.0.0.1:{port}/rdv")

    @runs(MONITORING, "waiting: acceptor", '{"event": "ended"')
    async def test_log(self, lines: str, ended: str) -> None:
        """What a server logs of a pair, as text and as JSON."""
        program = self.start("rdv -v serve -l 127.0.0.1:0")
        url = f"http://127.0.0.1:{await listening_port(program)}"
        client = Client(REACTOR, spaces=AddressSpace.NONE)
        accepting = client.accept(url, "MY_TOKEN")
        await program.line("waiting")
        for connection in await gatherResults([client.dial(url, "MY_TOKEN"), accepting]):
            connection.loseConnection()
        await program.line("bytes from dialer")
        logged = program.stderr.decode().splitlines()
        said = [line.rpartition("] ")[2] for line in logged if "server.rendezvous" in line]
        lines = re.sub(r"\n\s+", " ", lines)
        # Whichever of the two has reached the server first.
        said = [line.replace("acceptor_closed", "dialer_closed") for line in said]
        told = [re.sub("id [0-9a-f]{8}", "id 7f3a9c21", line) for line in said]
        self.assertEqual([shape(line) for line in told], shape(lines).splitlines())
        self.assertNotIn("MY_TOKEN", program.stderr.decode())
        logged = await self.log_of_pair("json")
        (event,) = [each for each in map(json.loads, logged) if each["event"] == "ended"]
        wanted = json.loads(ended.replace("\n", " "))
        self.assertEqual(list(event), list(wanted))
        self.assertTrue(event["message"].startswith("relayed: MY_T…, bytes from dialer: 0"))

    @runs(MONITORING, "2026-11-30T03:28:05Z", "awk ", "goaccess ")
    async def test_access_log(self, line: str, awk: str, goaccess: str) -> None:
        """The form for programs that read columns, and two of those."""
        logged = await self.log_of_pair("access")
        self.assertEqual(len(logged[0].split()), len(line.split()))
        content = f"{line}\n{line}\n{logged[0].replace('acceptor_', 'dialer_')}\n"
        (self.shell.folder / "access.log").write_text(content)
        counting = self.shell.start(awk)
        self.assertEqual(await counting.ended, 0, counting.report())
        self.assertEqual(counting.stdout, b"3 relayed dialer_closed\n")
        reading = self.shell.start(goaccess.replace("report.html", "report.json"))
        self.assertEqual(await reading.ended, 0, reading.report())
        report = json.loads((self.shell.folder / "report.json").read_text())
        self.assertEqual(report["general"]["valid_requests"], 3)
        self.assertEqual(report["requests"]["data"][0]["data"], "relayed")

    async def log_of_pair(self, form: str) -> list[str]:
        """The lines of a log of that form, when a pair has come and gone."""
        program = self.start(f"rdv serve -l 127.0.0.1:0 --log-format {form}")
        port = (await program.line(r"127\.0\.0\.1:(\d+)"))[1]
        for connection in await meet(f"http://127.0.0.1:{port}", "MY_TOKEN"):
            connection.loseConnection()
        await program.line(r"\brelayed\b")
        program.signal("TERM")
        await program.ended
        log = program.stdout if form == "access" else program.stderr
        return log.decode().splitlines()
