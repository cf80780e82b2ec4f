"""
``docs/howto/identity.rst`` does what it says.
"""

from __future__ import annotations

import shutil

from twisted.trial.unittest import SkipTest, TestCase

from tests.documents import Shell, replaced, runs, serve

PAGE = "docs/howto/identity.rst"


class CertificateTests(TestCase):
    """The commands."""

    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)

    @runs(PAGE, "openssl", "authenticated.py accept", "authenticated.py dial", "alice says")
    async def test_authenticated(
        self, certificates: str, accept: str, dial: str, output: str
    ) -> None:
        """Certificates, and two who show theirs."""
        if shutil.which("openssl") is None:
            raise SkipTest("openssl is not installed")
        program = self.shell.script(certificates)
        self.assertEqual(await program.ended, 0, program.report())
        url = serve(self).removesuffix("/rdv")
        sides = [
            self.shell.start(replaced(command, ("http://127.0.0.1:8080", url)))
            for command in (accept, dial)
        ]
        for side in sides:
            self.assertEqual(await side.ended, 0, side.report())
        dialer = sides[1]
        self.assertEqual(dialer.stdout.decode().strip(), output)
