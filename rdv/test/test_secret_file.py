"""Files with secrets."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rdv import _secret_file
from rdv._secret_file import lines_of, secret_lines, signing_keys
from rdv.errors import RdvError

KEY, OLD_KEY = "k" * 16, "o" * 40


class SecretFileTests(SynchronousTestCase):
    """Their lines, and what is wrong with them."""

    def file(self, data: bytes, mode: int = 0o600) -> str:
        """Its name."""
        path = Path(self.mktemp())
        path.write_bytes(data)
        path.chmod(mode)
        return str(path)

    def assert_wrong(self, text: str, path: str) -> None:
        """It is no file with keys; the error names it, and says no more of it than that."""
        error = self.assertRaises(RdvError, signing_keys, path)
        self.assertEqual(str(error), text)

    def test_lines(self) -> None:
        """Without comments, empty lines, and blanks at their ends."""
        path = self.file(b"# the keys\r\n\r\n  one \n#\ntwo", 0o644)
        self.assertEqual(lines_of(path), [(3, "one"), (5, "two")])
        self.assertEqual(lines_of(self.file(b"")), [])
        self.assertEqual(lines_of(self.file(b"\xef\xbb\xbfone")), [(1, "one")])

    def test_keys(self) -> None:
        """The first one signs."""
        path = self.file(f"# new\n{KEY}\n# old, until May\n{OLD_KEY}\n".encode())
        self.assertEqual(signing_keys(path), [KEY.encode(), OLD_KEY.encode()])

    def test_short_key(self) -> None:
        path = self.file(f"{KEY}\n{KEY[1:]}\n".encode())
        self.assert_wrong(
            f"{path}, line 2: a key needs at least 16 bytes (openssl rand -hex 32 generates one)",
            path,
        )

    def test_readable_by_everybody(self) -> None:
        """Is no place for a secret. A group may be meant."""
        path = self.file(KEY.encode(), 0o644)
        self.assert_wrong(f"{path} contains secrets, but every user can read it: chmod o-r", path)
        self.assertEqual(signing_keys(self.file(KEY.encode(), 0o640)), [KEY.encode()])

    def test_pipe(self) -> None:
        """A shell's <(...) is nobody's but the two programs'."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        os.write(write, KEY.encode())
        os.close(write)
        self.assertEqual(signing_keys(f"/dev/fd/{read}"), [KEY.encode()])

    def test_nothing_in_it(self) -> None:
        for data in (b"", b"\n", b"# a comment\n"):
            path = self.file(data)
            self.assert_wrong(f"{path} is empty", path)
            self.assertRaises(RdvError, secret_lines, path)

    def test_cannot_be_read(self) -> None:
        self.assert_wrong("cannot read /none: No such file or directory", "/none")
        self.assert_wrong("cannot read /: Is a directory", "/")
        path = self.file(b"\xff" * 20)
        self.assert_wrong(f"cannot read {path}: not UTF-8", path)
        self.assert_wrong("not the name of a file: 'a\\x00b'", "a\0b")

    def test_too_large(self) -> None:
        self.patch(_secret_file, "_LARGEST", 1 << 20)
        path = self.file(b"x" * ((1 << 20) + 1))
        self.assert_wrong(f"cannot read {path}: larger than 1 MiB", path)
