"""``rdv token``: new secrets, and signed tokens."""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.secret import Secret, read_token
from rdv._signed_token import SignedToken, read_signed, verifies
from rdv.commands import cli

KEY, OLD = "k" * 16, "o" * 16


class TokenTests(SynchronousTestCase):
    """What it prints."""

    def setUp(self) -> None:
        self.path = self.file(f"{KEY}\n{OLD}\n")

    def file(self, text: str) -> str:
        """One that nobody else can read."""
        path = Path(self.mktemp())
        path.touch(0o600)
        path.write_text(text)
        return str(path)

    def run_with(self, *arguments: str) -> tuple[int, str, str]:
        """Its status, and what is on stdout and on stderr."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = cli.main(["token", *arguments])
            except SystemExit as end:
                status = int(end.code or 0)
        return status, out.getvalue(), err.getvalue()

    def printed(self, *arguments: str) -> str:
        """Its one line."""
        status, out, err = self.run_with(*arguments)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out.count("\n"), 1)
        return out.removesuffix("\n")

    def wrong(self, *arguments: str) -> tuple[int, str]:
        """Its status, and the last line on stderr; nothing is printed."""
        status, out, err = self.run_with(*arguments)
        self.assertEqual(out, "")
        self.assertNotIn(KEY, err)
        return status, err.splitlines()[-1].removeprefix("rdv: ")

    def signed(self, text: str) -> SignedToken:
        """What it says, if it was signed with the first key."""
        self.assertTrue(verifies(KEY.encode(), text.encode()))
        read = read_signed(text.encode())
        assert read is not None
        return read

    def test_secret(self) -> None:
        """Nothing else was asked for."""
        self.assertEqual(Secret.parse(self.printed()).reveal()[:6], "rdvs1-")

    def test_signed(self) -> None:
        """A new secret; the server sees but the token behind it, which does not tell it."""
        before = int(time.time())
        text = self.printed("--key", self.path, "--user", "alice", "--ttl", "2h")
        secret = read_token(text)
        assert isinstance(secret, Secret)
        token = self.signed(secret.server_token.decode())
        self.assertEqual(token.user, "alice")
        self.assertLessEqual(before + 7200, token.expiry)
        self.assertLessEqual(token.expiry, time.time() + 7200)
        own, _, behind = text.partition("@")
        self.assertEqual(behind, secret.server_token.decode())
        self.assertEqual(token.nonce.encode(), Secret.parse(own).server_token)

    def test_plain(self) -> None:
        """Valid for an hour if nothing is said."""
        token = self.signed(self.printed("--key", self.path, "--user", "bob", "--plain"))
        self.assertEqual(token.user, "bob")
        self.assertTrue(3500 < token.expiry - time.time() <= 3600)

    def test_secret_that_stays_with_the_peers(self) -> None:
        """Whoever signs sees but its server token."""
        secret = Secret.generate()
        shown = self.printed("--server-token", self.file(f"{secret.reveal()}\n"))
        self.assertEqual(shown.encode(), secret.server_token)
        signed = self.printed("--key", self.path, "--user", "bob", "--for", shown)
        self.assertEqual(self.signed(signed).nonce, shown)
        joined = Secret.parse(f"{secret.reveal()}@{signed}")
        self.assertEqual(joined.server_token, signed.encode())
        self.assertEqual(joined.psk, secret.psk)

    def test_wrong_usage(self) -> None:
        """In a line."""
        refusal = "--user, --ttl, --plain and --for need --key FILE"
        for words in (("--user", "x"), ("--plain",), ("--for", "x"), ("--ttl", "1h")):
            self.assertEqual(self.wrong(*words), (2, refusal))
        key = ("--key", self.path)
        self.assertEqual(self.wrong(*key), (2, "--key needs --user NAME"))
        for more, text in (
            (("--user", "a\nb"), "a user name must be printable text"),
            (("--user", "a", "--for", "a.b"), "a nonce may have up to 64 letters, digits"),
            (("--user", "a", "--ttl", "0"), "--ttl: a token must be valid for some time"),
        ):
            status, said = self.wrong(*key, *more)
            self.assertEqual((status, said[: len(text)]), (2, text))
        self.assertEqual(self.wrong(*key, "--user", "a", "--ttl", "x")[0], 2)
        self.assertEqual(self.wrong(*key, "--user", "a", "--plain", "--for", "x")[0], 2)

    def test_bad_files(self) -> None:
        self.assertEqual(self.wrong("--key", "/none", "--user", "a")[0], 1)
        status, text = self.wrong("--server-token", self.file("not a secret\n"))
        self.assertEqual(status, 1)
        self.assertIn("not a secret: it does not start with rdvs1-", text)
