"""
Clients with an HTTP bearer token.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rdv.errors import RdvError
from rdv.server.access.bearer import BearerTokens
from rdv.server.access.making import ServerDoor
from rdv.settings import ServerSettings
from rdv.test.server.access.doubles import AccessTestCase, visitor

ALICE, OTHER, NEW = "a" * 16, "Ab0-._~+/" * 4 + "==", "n" * 40
MISSING = (401, "this server requires Authorization: Bearer with a token: ask its operator for one")
UNKNOWN = (401, "unknown bearer token: ask the server's operator for another one")


class BearerTests(AccessTestCase):
    """Clients with and without a bearer token."""

    def setUp(self) -> None:
        self.path = self.file("# who may come", f"alice: {ALICE}".replace(" ", ""), "", OTHER)
        self.tokens = BearerTokens([self.path])

    def test_known(self) -> None:
        """By name, or by nothing; the scheme's case does not count."""
        for value, user in (
            (f"Bearer {ALICE}", "alice"),
            (f"bearer  {ALICE}", "alice"),
            (f"BEARER {OTHER}", None),
        ):
            one = visitor(authorization=[value.encode()])
            self.assertEqual(self.let_in(self.tokens, one), user)

    def test_unnamed(self) -> None:
        """It does not take away the name that somebody else has found."""
        one = visitor(authorization=[f"Bearer {OTHER}".encode()])
        one.user = "bob"
        self.assertEqual(self.let_in(self.tokens, one), "bob")

    def test_missing(self) -> None:
        for values in (
            [],
            [b"Basic abc"],
            [b"Bearer"[:3]],
            [b""],
            [f"Bearer {ALICE}".encode()] * 2,
        ):
            self.assertEqual(self.refused(self.tokens, visitor(authorization=values)), MISSING)

    @given(st.binary(max_size=20) | st.text(st.sampled_from("a:= ")).map(str.encode))
    def test_unknown(self, token: bytes) -> None:
        """Whatever it is."""
        if token.strip(b" ") != ALICE.encode():
            one = visitor(authorization=[b"Bearer " + token])
            self.assertEqual(self.refused(self.tokens, one), UNKNOWN)
        for almost in (ALICE[1:], f"{ALICE}a", f"alice:{ALICE}", ALICE.upper(), ""):
            one = visitor(authorization=[f"Bearer {almost}".encode()])
            self.assertEqual(self.refused(self.tokens, one), UNKNOWN)

    def test_reload(self) -> None:
        """Of several files."""
        tokens = BearerTokens([self.path, self.file(f"urn:user:7:{NEW}")])
        one = visitor(authorization=[f"Bearer {NEW}".encode()])
        self.assertEqual(self.let_in(tokens, one), "urn:user:7")
        self.file(f"bob:{NEW}", path=self.path)
        self.tokens.reload()
        self.assertEqual(self.let_in(self.tokens, one), "bob")
        gone = visitor(authorization=[f"Bearer {ALICE}".encode()])
        self.assertEqual(self.refused(self.tokens, gone), UNKNOWN)
        self.file("short", path=self.path)
        self.assertRaises(RdvError, self.tokens.reload)
        one.user = None
        self.assertEqual(self.let_in(self.tokens, one), "bob")

    def test_bad_lines(self) -> None:
        """The error tells where, and not what."""
        for line, said in (
            ("short", "a token has at least 16 letters, digits and -._~+/ (openssl "),
            ("a token with blanks", "a token has at least 16 letters, digits and -._~+/ "),
            (f":{ALICE}", "a user name must be printable text"),
            (f"{'x' * 257}:{ALICE}", "a user name may have at most 256 bytes"),
        ):
            path = self.file(OTHER, line)
            error = str(self.assertRaises(RdvError, BearerTokens, [path]))
            self.assertEqual(error[: len(path) + 10 + len(said)], f"{path}, line 2: {said}")
            self.assertNotIn(line, error)
        self.assertRaises(RdvError, BearerTokens, [self.file()])

    def test_setting(self) -> None:
        door = ServerDoor(None, ServerSettings(bearer_file=(self.path,)))
        self.assertFalse(door.is_open(visitor()))
        self.assertTrue(door.is_open(visitor(authorization=[f"Bearer {ALICE}".encode()])))
