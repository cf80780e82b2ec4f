"""
The files of a certificate are checked, and read again when they have changed.
"""

from __future__ import annotations

import os
from typing import cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from rdv.errors import RdvError
from rdv.server.site.certificate import ServerCertificate
from rdv.server.site.certificate_watch import CertificateWatch
from rdv.test.certificates import CertificateFiles


class WatchTests(SynchronousTestCase):
    """Files are read again when they have changed."""

    def setUp(self) -> None:
        self.files = CertificateFiles(self.mktemp())
        self.clock = Clock()
        self.certificate = ServerCertificate(self.files.chain, self.files.key)
        self.watch = CertificateWatch(self.clock, self.certificate)
        self.watch.start()
        self.addCleanup(self.watch.stop)
        self.before = self.certificate.pem

    def looks(self, times: int = 1) -> list[str]:
        """Let it look; what it says."""
        said: list[str] = []

        @provider(ILogObserver)
        def note(event: LogEvent) -> None:
            ours = event.get("log_namespace", "").endswith("certificate_watch")
            if ours and event["log_level"] is not LogLevel.debug:
                said.append(formatEvent(event).replace(f"{self.files.folder}/", ""))

        observer = cast(ILogObserver, note)
        globalLogPublisher.addObserver(observer)
        try:
            self.clock.pump([10.0] * times)
        finally:
            globalLogPublisher.removeObserver(observer)
        return said

    def test_unchanged(self) -> None:
        self.assertEqual(self.looks(5), [])
        self.assertIs(self.certificate.pem, self.before)

    def test_renewed(self) -> None:
        """When they have stayed the same for one look."""
        self.files.renew(days=40)
        self.assertEqual(self.looks(), [])
        self.assertIs(self.certificate.pem, self.before)
        (said,) = self.looks(3)
        self.assertRegex(said, r"^new certificate, expires on \d{4}-\d\d-\d\d$")
        self.assertIsNot(self.certificate.pem, self.before)

    def test_one_after_the_other(self) -> None:
        """Nothing is said about a moment at which they do not fit."""
        leaf, key = self.files.issue(days=40)
        self.files.write(self.files.chain, leaf)
        self.assertEqual(self.looks(), [])
        self.files.write(self.files.key, key)
        self.assertEqual(len(self.looks(3)), 1)
        self.assertEqual(self.certificate.pem.key, key)

    def test_bad(self) -> None:
        """It keeps what it has, and says so once."""
        for content in (b"", b"nonsense"):
            self.files.write(self.files.key, content)
            said = "key.pem: no PEM private key: keeping the previous certificate"
            self.assertEqual(self.looks(10), [said])
            self.assertIs(self.certificate.pem, self.before)
        os.unlink(self.files.key)
        said = "key.pem: No such file or directory: keeping the previous certificate"
        self.assertEqual(self.looks(10), [said])
        self.files.renew(days=40)
        self.assertEqual(len(self.looks(10)), 1)
        self.assertIsNot(self.certificate.pem, self.before)

    def test_read_by_a_signal(self) -> None:
        """That counts, too."""
        self.files.renew(days=40)
        self.certificate.reload()
        self.assertEqual(self.looks(5), [])
        self.files.write(self.files.key, b"")
        self.assertRaises(RdvError, self.certificate.reload)
        self.assertEqual(self.looks(5), [])

    def test_reminder(self) -> None:
        """What is wrong is said once a day."""
        self.files.renew(days=0.5)
        self.assertEqual(len(self.looks(3)), 2)
        self.assertEqual(self.looks(8000), [])
        (said,) = self.looks(1000)
        self.assertRegex(said, "^chain.pem: expires on ")

    def test_quiet(self) -> None:
        """Where another process says so."""
        self.watch.stop()
        self.watch = CertificateWatch(self.clock, self.certificate, is_quiet=True)
        self.watch.start()
        self.files.renew(days=0.5)
        self.assertEqual(self.looks(5), [])
        self.assertIsNot(self.certificate.pem, self.before)
