"""
A server that speaks TLS itself: the whole chain for each client, a renewed certificate for later
clients, and a bad one for none.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from rdv.client import tls_policy
from rdv.test.certificates import CertificateFiles
from tests.documents import meet_and_part
from tests.processes import Program
from tests.servers import SystemTestCase


class TlsTests(SystemTestCase):
    forked = True
    timeout = 120

    def setUp(self) -> None:
        self.files = CertificateFiles(self.mktemp())

    async def start(self, *options: str) -> Program:
        """A server with that certificate; clients go there by TLS."""
        program = self.rdv(
            "-v", "serve", "--tls", "127.0.0.1:0", "--cert", os.path.abspath(self.files.chain),
            "--key", os.path.abspath(self.files.key), *options,
        )  # fmt: skip
        place = (await program.line(r"LISTENING: (\S+)"))[1]
        self.url = f"https://{place}"
        return program

    async def assert_meet(self) -> None:
        """Two who trust the root, and have never heard of what is between."""
        for token in ("one", "two", "three"):
            await meet_and_part(self.url, token, tls=tls_policy(ca=self.files.root.pem))

    async def test_reload(self) -> None:
        server = await self.start()
        await self.assert_meet()
        self.files.write(self.files.key, b"nonsense")
        server.signal("HUP")
        await server.line("not reloaded, .*key.pem: no PEM private key")
        await self.assert_meet()
        self.files.renew(days=77)
        server.signal("HUP")
        await server.line(r"#info\] reloaded")
        await self.assert_meet()
        root = self.file_of(self.files.root.pem)
        check = self.rdv("check", self.url, "--json", "--ca", root, "--no-throughput")
        await check.ended
        tls = json.loads(check.stdout)["observations"]["tls"]
        self.assertEqual((tls["days"], tls["problems"]), (76, []))

    async def test_workers(self) -> None:
        """
        One that is started again has the certificate from its parent, whoever may read the files
        by then.
        """
        server = await self.start("--workers", "2")
        await self.assert_meet()
        for path in (self.files.chain, self.files.key):
            Path(path).unlink()
        pid = int((await server.line(r"worker 0 serves as process (\d+)"))[1])
        os.kill(pid, 9)
        await server.line(r"worker 0 died")
        await server.line(rf"worker 0 serves as process (?!{pid}\b)")
        await self.assert_meet()
