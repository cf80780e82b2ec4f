"""
``docs/howto/explain.rst`` does what it says.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase, TestCase

from rdv import Secret
from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.explain import waterfall
from rdv.server import Rendezvous
from rdv.test.explain.doubles import DIRECT, MOVED
from tests.documents import REACTOR, SECRET, Shell, execute, meet_and_part, replaced, runs, serve

HOWTO = "docs/howto/explain.rst"
URL = "https://rdv.example.com/rdv"


class PictureTests(SynchronousTestCase):
    @runs(HOWTO, "A direct path won")
    def test_picture(self, picture: str) -> None:
        """It is what is drawn of such an attempt."""
        self.assertEqual(picture, waterfall(DIRECT, 92).strip())

    @runs(HOWTO, "The stream began on the relay")
    def test_moved(self, picture: str) -> None:
        self.assertEqual(picture, waterfall(MOVED, 92).strip())


class CommandTests(TestCase):
    timeout = 60

    @runs(HOWTO, "rdv dial", "rdv accept")
    async def test_commands(self, dial: str, accept: str) -> None:
        """One shows it, the other keeps it."""
        url = serve(self)
        shell = Shell(self)
        secret = Secret.generate().reveal()
        programs = [
            shell.start(replaced(command, (URL, url), (SECRET, secret), (option, f"-r {option}")))
            for command, option in ((accept, "--explain-to"), (dial, "--explain"))
        ]
        for program in programs:
            self.assertEqual(await program.ended, 0, program.report())
        page = (shell.folder / "attempt.html").read_text()
        self.assertIn("The relay was taken: the dialer chose it.", page)
        self.assertNotIn(secret.removeprefix("rdvs1-"), page)
        self.assertRegex(
            programs[1].stderr.decode(), re.compile(r"^relay loopback .*chosen", re.MULTILINE)
        )


class PythonTests(TestCase):
    timeout = 60

    @runs(HOWTO, "trace=events.append")
    async def test_call(self, source: str) -> None:
        """A failure is reported with its picture, a success is not."""
        reports: list[str] = []
        names: dict[str, Any] = {"client": Client(REACTOR, spaces=AddressSpace.NONE)}
        names |= {"secret": "t", "report": reports.append}
        closed = Rendezvous(REACTOR)
        closed.close()
        await execute(source, url=serve(self, closed), **names)
        (picture,) = reports
        self.assertIn("the server answered 503 Service Unavailable", picture)
        url = serve(self)
        accepting = names["client"].accept(url, "t")
        dialling = Deferred.fromCoroutine(execute(source, url=url, **names))
        accepted, defined = await gatherResults([accepting, dialling])
        for connection in (accepted, defined["connection"]):
            connection.abortConnection()
        self.assertEqual(len(reports), 1)

    @runs(HOWTO, "Counter()")
    async def test_client(self, source: str) -> None:
        defined = await execute(source, reactor=REACTOR)
        url = serve(self)
        await meet_and_part(url, trace=defined["trace"], spaces=AddressSpace.LOOPBACK)
        reasons: Counter[str] = defined["reasons"]
        self.assertEqual(reasons["a direct path was faster"], 1, json.dumps(reasons))
        self.assertEqual(reasons["the peer chose a direct path"], 1, json.dumps(reasons))
