"""
``rdv check`` on this host: what it reports about good and bad servers, and how it ends.

What it reports about networks is in ``test_check_networks``.
"""

from __future__ import annotations

import json
import re
import socket
from typing import Any

from rdv.test.certificates import Authority
from tests.documents import runs
from tests.processes import PYTHON, Program
from tests.proxies import start_haproxy, start_nginx
from tests.servers import SystemTestCase
from tests.test_proxies import HAPROXY

CHECK = "docs/howto/check.rst"
#: The keys of the whole object.
KEYS = ["verdict", "usable", "text", "advice", "findings", "observations"]
NGINX = """
server {
    listen LISTEN;
    location / {
        proxy_pass http://127.0.0.1:BACKEND;
        proxy_http_version 1.1;
        proxy_set_header Connection upgrade;
        proxy_set_header Upgrade $http_upgrade;
    }
}
"""
#: The same, but the request loses the headers that make it an offer.
NGINX_PLAIN = re.sub("(?m)^ *proxy_(http|set).*", "", NGINX)
#: The command on a host whose name server never answers.
SILENT_NAMES = """
import socket, sys, threading
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
from rdv.commands.cli import main
sys.exit(main(sys.argv[1:]))
"""


class CheckTestCase(SystemTestCase):
    """Runs the command, quickly: without throughput."""

    forked = True

    def check(self, *options: str, throughput: bool = False) -> Program:
        skip = () if throughput else ("--no-throughput",)
        return self.rdv("check", "--spaces", "loopback", *skip, *options)

    async def checked(self, *options: str, status: int = 0) -> dict[str, Any]:
        """The JSON object of a whole run."""
        program = self.check("--json", *options)
        self.assertEqual(await program.ended, status, program.report())
        described: dict[str, Any] = json.loads(program.stdout)
        self.assertEqual(list(described), KEYS)
        return described

    def text_of(self, described: dict[str, Any], key: str) -> str:
        """The text of one finding, which has to be there."""
        texts = [each["text"] for each in described["findings"] if each["key"] == key]
        self.assertEqual(len(texts), 1, described["findings"])
        return str(texts[0])

    def assert_ends(self, described: dict[str, Any], way: str) -> None:
        """What becomes of the other direction of the relay when either has ended, and is said."""
        found = described["observations"]["half_close"]
        self.assertEqual(found, {"dialer": way, "acceptor": way})
        lost = way != "passed"
        weights = [each["weight"] for each in described["findings"] if each["key"] == "half-close"]
        self.assertEqual(weights, ["bad" if lost else "good"])
        self.assertEqual("half-close" in [each["key"] for each in described["advice"]], lost)


class GoodTests(CheckTestCase):
    """A server that works."""

    async def test_no_url(self) -> None:
        """One of its own."""
        program = self.check(throughput=True)
        self.assertEqual(await program.ended, 0, program.report())
        said = program.stdout.decode()
        self.assertRegex(
            said, r"(?m)^\+ Through the relay, dialer and acceptor connect in .* of 3\)\.$"
        )
        self.assertRegex(
            said, r"(?m)^\+ Directly, they connect in .*127\.0\.0\.1:\d+, without leaving this"
        )
        self.assertIn(
            "+ When one side half-closes a relayed connection, the other direction stays open.",
            said,
        )
        self.assertIn("The relay carries", said)
        self.assertIn("To examine the network, give the URL of a server outside.", said)
        self.assertRegex(program.stderr.decode(), r"^(checking: [\w ]+\n)+$")

    async def test_json(self) -> None:
        """One object on stdout, and others on stderr."""
        await self.serve()
        program = self.check("--json", self.url, throughput=True)
        self.assertEqual(await program.ended, 0, program.report())
        self.assertEqual(program.stdout.count(b"\n"), 1)
        described = json.loads(program.stdout)
        seen = described["observations"]
        self.assertEqual((described["verdict"], described["usable"]), ("same-host", True))
        self.assertEqual(seen["server"], f"127.0.0.1:{self.port}")
        self.assertEqual([each["is_relay"] for each in seen["relayed"]], [True] * 3)
        self.assertEqual([each["is_relay"] for each in seen["direct"]], [False] * 3)
        ports = [s["local_port"] for each in seen["relayed"] for s in each["sightings"]]
        self.assertEqual(len(set(ports)), 6)
        self.assert_ends(described, "passed")
        self.assertGreater(seen["throughput"]["bytes"], 1 << 20)
        self.assertEqual((seen["stray"], seen["second"], seen["late"]), (None, None, []))
        for line in program.stderr.splitlines():
            self.assertEqual(set(json.loads(line)), {"event", "time", "what"})

    async def test_second_port(self) -> None:
        """
        The server has two, and names the other one; both see one port of ours as it is. Several
        processes do that too.
        """
        for options in ((), ("--workers", "2")):
            await self.serve("-l", "0.0.0.0:0", *options, listen="0.0.0.0:0")
            described = await self.checked(self.url)
            seen = described["observations"]
            self.assertEqual(len(seen["other_ports"]), 1)
            self.assertNotEqual(seen["other_ports"], [self.port])
            first, second = seen["second"]["sightings"]
            self.assertEqual(first, second)
            self.assertEqual(first["observed"], f"127.0.0.1:{first['local_port']}")
            self.assert_ends(described, "passed")

    async def test_quiet(self) -> None:
        """Nothing but the result; and with ``-r`` no direct meeting."""
        await self.serve()
        program = self.check("-q", "-r", self.url)
        self.assertEqual(await program.ended, 0, program.report())
        self.assertEqual(program.stderr, b"")
        self.assertIn(b"Through the relay", program.stdout)
        self.assertNotIn(b"Directly", program.stdout)

    async def test_no_time(self) -> None:
        """What is left out is said."""
        await self.serve()
        described = await self.checked("--timeout", "0.1", self.url, status=1)
        self.assertEqual(described["verdict"], "no-time")
        self.assertEqual(described["observations"]["late"][0], "relayed connections")

    async def test_interrupted(self) -> None:
        """SIGINT ends it at once: nothing on stdout, and no traceback."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            program = self.check(f"http://127.0.0.1:{port}/")
            await program.line("checking: relayed connections")
            program.signal("INT")
            self.assertEqual(await program.ended, 130, program.report())
        self.assertEqual(program.stdout, b"")
        self.assertNotIn(b"Traceback", program.stderr)


class TLSTests(CheckTestCase):
    """Certificates."""

    def setUp(self) -> None:
        self.authority = Authority()
        self.trust = ("--ca", self.file_of(self.authority.pem))

    async def serve_tls(self, name: str = "127.0.0.1", **options: Any) -> None:
        pem = self.file_of(self.authority.issue(name, **options))
        await self.serve(listen=f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}")
        self.url = f"https://127.0.0.1:{self.port}/rdv"

    async def test_trusted(self) -> None:
        await self.serve_tls()
        described = await self.checked(*self.trust, self.url)
        tls = described["observations"]["tls"]
        self.assertRegex(tls["version"], r"^TLSv1\.[23]$")
        self.assertEqual((tls["subject"], tls["issuer"]), ("127.0.0.1", "test authority"))
        self.assertEqual((tls["days"], tls["problems"]), (0, []))
        self.assert_ends(described, "passed")
        self.assertEqual([each["key"] for each in described["advice"]], ["renew"])

    async def test_not_trusted(self) -> None:
        """The certificate, and so the server cannot be used. The client says so too."""
        unreadable = bytes.fromhex("3004a3023000")
        another = ("--ca", self.file_of(Authority("another").pem))
        unsent = "the server does not send the certificate of test authority"
        for problem, trust, name, options in (
            ("its issuer, test authority, is not trusted", another, "127.0.0.1", {}),
            (f"its chain is incomplete: {unsent}", another, "127.0.0.1", {"names_issuer": True}),
            ("it has expired", self.trust, "127.0.0.1", {"days": -2}),
            ("it is not for the name 127.0.0.1", self.trust, "server.test", {}),
            ("it is not for the name 127.0.0.1", self.trust, "127.0.0.1", {"names": b""}),
            ("it is not for the name 127.0.0.1", self.trust, "127.0.0.1", {"names": unreadable}),
        ):
            await self.serve_tls(name, **options)
            described = await self.checked(*trust, self.url, status=1)
            self.assertEqual(described["verdict"], "no-tls")
            (advice,) = described["advice"]
            wanted = "whole-chain" if "names_issuer" in options else "trust"
            self.assertEqual(advice["key"], wanted)
            text = self.text_of(described, "tls-untrusted")
            self.assertIn(f"The certificate is not trusted: {problem}.", text)
            self.text_of(described, "server-unreachable")


class BadTests(CheckTestCase):
    """Servers that are not rdv servers, and wrong arguments."""

    async def test_unusable(self) -> None:
        """Nobody listens; no TLS; another path; no such name; a proxy that loses the upgrade."""
        await self.serve("--path", "/rdv")
        here = f"127.0.0.1:{self.port}"
        proxy = await start_nginx(self, NGINX_PLAIN.replace("BACKEND", str(self.port)))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            closed = f"127.0.0.1:{taken.getsockname()[1]}"
            for url, verdict, advice, key, text in (
                (f"http://{closed}/", "unreachable", "check-server", "server-", "n refused"),
                (f"https://{here}/", "no-tls", "check-scheme", "tls-failed", "handshake failed: "),
                (f"http://{here}/other", "refused", "check-path", "server-refused", "404"),
                ("http://no.invalid/", "no-name", "check-name", "server-lookup", "not resolve"),
                (f"http://127.0.0.1:{proxy}/rdv", "refused", "pass-upgrade", "server-", "426"),
            ):
                described = await self.checked(url, status=1)
                self.assertEqual(described["verdict"], verdict)
                self.assertEqual([each["key"] for each in described["advice"]], [advice])
                texts = {each["key"]: each["text"] for each in described["findings"]}
                self.assertIn(text, " ".join(texts[each] for each in texts if each.startswith(key)))

    async def test_name_server_is_silent(self) -> None:
        """The command ends in its time, though the C library goes on asking."""
        url = "http://server.test/"
        command = ("-c", SILENT_NAMES, "check", "--json", "--timeout", "0.5", url)
        program = Program(self, PYTHON, *command)
        self.assertEqual(await program.ended, 1, program.report())
        self.assertEqual(json.loads(program.stdout)["verdict"], "no-time")

    async def test_never_met(self) -> None:
        """Both are left waiting; the text is for a person."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            program = self.check("--timeout", "6", f"http://127.0.0.1:{port}/")
            self.assertEqual(await program.ended, 1, program.report())
        said = program.stdout.decode()
        self.assertIn("- The server did not introduce dialer and acceptor: ", said)
        self.assertIn("If there are several servers", said)

    async def test_stdout_is_full(self) -> None:
        """The result is not lost without a word."""
        with open("/dev/full", "wb") as full:
            program = self.rdv("check", "-q", "--no-throughput", stdout=full.fileno())
            await self.assert_ended(program, 1, "cannot write to stdout: No space left on device")

    async def test_usage(self) -> None:
        for wrong, said in (
            (("ftp://x/",), "not an http:// or https:// URL: 'ftp://x/'"),
            (("--header", "x",), "not NAME: VALUE: 'x'"),
            (("--ca", "/no/such"), "cannot read /no/such: No such file or directory"),
        ):  # fmt: skip
            program = self.check(*wrong)
            await self.assert_ended(program, 2, said)
            self.assertEqual(program.stdout, b"")


class OldServerTests(CheckTestCase):
    """A server with the behaviour of the original."""

    @runs(CHECK, "- When one side")
    async def test_it(self, finding: str) -> None:
        server = Program(self, PYTHON, "-m", "tests.plain_server", "--port", "0")
        port = (await server.line(r"^listening 127\.0\.0\.1:(\d+)$"))[1]
        program = self.check(f"http://127.0.0.1:{port}/rdv")
        self.assertEqual(await program.ended, 0, program.report())
        said = " ".join(program.stdout.decode().split())
        self.assertIn(" ".join(finding.split()), said)
        self.assertIn("* Pass TCP or TLS through to the server unchanged", said)


class ProxyTests(CheckTestCase):
    """Proxies that do not report the client's address."""

    async def test_hidden(self) -> None:
        """And what becomes of half a connection."""
        await self.serve()
        ports = {await start_nginx(self, NGINX.replace("BACKEND", str(self.port))): "both"}
        for mode, way in (("tcp", "passed"), ("http", "both")):
            config = HAPROXY.format(mode=mode, backend=self.port, send="", tls="")
            ports[start_haproxy(self, config)] = way
        for port, way in ports.items():
            described = await self.checked(f"http://127.0.0.1:{port}/")
            self.assertEqual((described["verdict"], described["usable"]), ("hidden", True))
            self.text_of(described, "hidden")
            self.text_of(described, "ports-untold")
            self.assertIn("tell-server", [each["key"] for each in described["advice"]])
            self.assert_ends(described, way)

    async def test_header(self) -> None:
        """
        The server expects a proxy to name the client in a header. Without one it does not know us;
        with one for each request, which stands for a proxy's, it does.
        """
        await self.serve("--observed-header", "X-Real")
        described = await self.checked(self.url)
        self.assertEqual(described["verdict"], "hidden")
        self.text_of(described, "untold")
        described = await self.checked("--header", "X-Real: 203.0.113.9:5", self.url)
        observed = described["observations"]["relayed"][0]["sightings"][0]["observed"]
        self.assertEqual(observed, "203.0.113.9:5")
