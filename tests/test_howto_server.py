"""
The page about a public server, from its first command on: programs of a host, such as certbot and
systemd, are doubles; its folders are in the test's own.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
from pathlib import Path

from twisted.trial.unittest import TestCase

from rdv.test.certificates import CertificateFiles
from tests.documents import Shell, replaced, runs
from tests.processes import ROOT, Program
from tests.proxies import installed

PAGE = "docs/howto/server.rst"
UNIT = "contrib/systemd/rdv.service"

#: Programs of the host; each records its call.
DOUBLES = {
    "apt-get": "",
    "useradd": "",
    "systemctl": "",
    "git": "",
    "journalctl": "",
    # The new certificate, and then the hook, like certbot.
    "certbot": 'export RENEWED_LINEAGE="$PWD/live"\neval "$6"',
    # python3 -m venv FOLDER
    "python3": """
mkdir -p "$3/bin"
ln -s "$(command -v rdv)" "$3/bin/rdv"
printf '#!/bin/sh\\necho pip "$@" >>"%s/calls"\\n' "$PWD" >"$3/bin/pip"
chmod 755 "$3/bin/pip"
""",
}


class ServerTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)
        self.folder = self.shell.folder
        for name, script in DOUBLES.items():
            path = self.folder / "bin" / name
            path.write_text(f'#!/bin/sh -e\necho {name} "$@" >>"{self.folder}/calls"\n{script}\n')
            path.chmod(0o755)
        for name in ("etc/systemd/system", "opt"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "etc/prometheus").mkdir()
        (self.folder / "contrib").symlink_to(ROOT / "contrib")
        self.files = CertificateFiles(str(self.folder / "live"))
        for name, source in (("fullchain", self.files.chain), ("privkey", self.files.key)):
            (self.folder / "live" / f"{name}.pem").symlink_to(Path(source).name)

    def here(self, text: str) -> str:
        """With folders of the test, and its group in the place of rdv's."""
        for name in ("/etc/rdv", "/etc/systemd", "/etc/prometheus", "/opt/rdv"):
            text = text.replace(name, f"{self.folder}{name}")
        return text.replace("-g rdv", f"-g {os.getgid()}")

    async def run_block(self, block: str) -> Program:
        """It goes well."""
        program = self.shell.script(self.here(block))
        self.assertEqual(await program.ended, 0, program.report())
        return program

    def calls(self, name: str) -> list[str]:
        """How a double was called."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.split()[0] == name]

    @runs(
        PAGE,
        "apt-get install",
        "certbot certonly",
        "relay-quota",
        "openssl rand",
        "systemctl enable",
        "--ttl 1h",
        "rdv dial",
        "rdv accept",
        "curl -fsS",
        "USR2",
    )
    async def test_page(
        self,
        install: str,
        certbot: str,
        settings: str,
        key: str,
        start: str,
        token: str,
        dial: str,
        accept: str,
        watch: str,
        upgrade: str,
    ) -> None:
        await self.run_block(install)
        await self.run_block(certbot)
        for name, path in (("fullchain", self.files.chain), ("privkey", self.files.key)):
            copy = self.folder / f"etc/rdv/{name}.pem"
            self.assertEqual(copy.read_bytes(), Path(path).read_bytes())
            self.assertEqual(copy.stat().st_mode & 0o777, 0o640)
        await self.run_block(key)
        self.configure(settings)
        checked = await self.run_block(start)
        self.assertEqual(checked.stderr, b"OK\n")
        self.assertEqual(self.calls("systemctl")[-1], "systemctl enable --now rdv")
        server = self.start_unit()
        plain = (await server.line(r"LISTENING: 127\.0\.0\.1:(\d+)"))[1]
        port = (await server.line(rf"LISTENING: 127\.0\.0\.1:(?!{plain}\b)(\d+)"))[1]
        admin = (await server.line(r"AdminSite .*starting on (\d+)$"))[1]
        await self.meet(token, dial, accept, port)
        await server.line(r"^\S+Z \w+ relayed ")
        watched = await self.run_block(
            replaced(watch, (":8080", f":{plain}"), (":9180", f":{admin}"))
        )
        self.assertIn(b'rdv_outcomes_total{outcome="relayed"} 1.0', watched.stdout)
        self.assertTrue(watched.stdout.startswith(b"ok\n"))
        await self.run_block(upgrade)
        self.assertEqual(
            self.calls("pip"), ["pip install .[metrics]", "pip install --upgrade .[metrics]"]
        )
        number, who, unit = self.calls("systemctl")[-1].split()[-3:]
        self.assertEqual((who, unit), ("--kill-whom=main", "rdv"))
        server.signal(number.removeprefix("--signal="))
        pid = int((await server.line(r"the new generation serves: process (\d+)"))[1])
        self.addCleanup(self.end, pid)
        await self.meet(token, dial, accept, port)

    def end(self, pid: int) -> None:
        """That of a process that is no child of ours."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def configure(self, settings: str) -> None:
        """Write the file, with ports that are free here, and fewer processes."""
        here = (
            ("*:443", "127.0.0.1:0"),
            ("127.0.0.1:8080", "127.0.0.1:0"),
            ("workers = 0", "workers = 2"),
        )
        (self.folder / "etc/rdv/rdv.toml").write_text(self.here(replaced(settings, *here)))

    def start_unit(self) -> Program:
        """As systemd does."""
        unit = (self.folder / "etc/systemd/system/rdv.service").read_text()
        (command,) = (
            line.removeprefix("ExecStart=")
            for line in unit.splitlines()
            if line.startswith("ExecStart=")
        )
        return self.shell.start(self.here(command))

    async def meet(self, token: str, dial: str, accept: str, port: str) -> None:
        """Two with the token that the page makes."""
        made = (await self.run_block(token)).stdout.decode().strip()
        (self.folder / "root.pem").write_bytes(self.files.root.pem)
        trust = ("https://rdv.example.com", f"-r --ca root.pem https://127.0.0.1:{port}")
        sides = [
            self.shell.script(replaced(command, trust, ("TOKEN", shlex.quote(made))))
            for command in (dial, accept)
        ]
        sides[1].close_stdin()
        for side in sides:
            self.assertEqual(await side.ended, 0, side.report())
        self.assertEqual(sides[1].stdout, b"hello\n")

    @runs(PAGE, "rule_files", "rules.yml")
    async def test_prometheus(self, config: str, rules: str) -> None:
        """It understands its configuration, with the alerts."""
        await self.run_block(rules)
        path = self.folder / "etc/prometheus/prometheus.yml"
        path.write_text(f"{config}\n")
        program = Program(self, installed("promtool"), "check", "config", str(path))
        self.assertEqual(await program.ended, 0, program.report())
        self.assertIn(b"1 rule files found", program.stdout)
