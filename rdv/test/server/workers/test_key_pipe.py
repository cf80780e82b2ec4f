"""A certificate and its key on their way to a worker."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from rdv.server.site.certificate import Pem, ServerCertificate
from rdv.server.workers.key_pipe import inherited_pem, pem_for_child
from rdv.test.certificates import CertificateFiles


class PipeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.files = CertificateFiles(self.mktemp())
        self.certificate = ServerCertificate(self.files.chain, self.files.key)

    def test_through(self) -> None:
        """It is whole, and nothing stays open."""
        with pem_for_child(self.certificate) as (number,):
            inherited = os.dup(number)
        self.assertRaises(OSError, os.fstat, number)
        pem = inherited_pem(inherited)
        self.assertEqual(pem, self.certificate.pem)
        self.assertRaises(OSError, os.fstat, inherited)
        os.unlink(self.files.chain)
        os.unlink(self.files.key)
        again = ServerCertificate(self.files.chain, self.files.key, pem)
        self.assertEqual(again.expires, self.certificate.expires)

    def test_none(self) -> None:
        with pem_for_child(None) as numbers:
            self.assertEqual(numbers, ())

    def test_too_long(self) -> None:
        """Nobody waits for a reader that there is not yet."""
        self.certificate.pem = Pem(b"x" * (1 << 20), b"")
        error = self.assertRaises(OSError, pem_for_child(self.certificate).__enter__)
        self.assertEqual(error.strerror, "the certificate is too long for a pipe")
