"""Tokens that have to be signed."""

from __future__ import annotations

from rdv._signed_token import SignedToken, sign
from rdv.errors import RdvError
from rdv.server.access.making import ServerDoor
from rdv.server.access.token_key import TokenKeys
from rdv.settings import ServerSettings
from rdv.test.server.access.doubles import AccessTestCase, visitor

NEW, OLD, OTHER = "n" * 16, "o" * 16, "x" * 16
UNSIGNED = (403, "this server only accepts signed tokens: ask its operator for one")
FORGED = (403, "the token's signature is wrong: ask the server's operator for a new one")
EXPIRED = (403, "the token has expired: ask the server's operator for a new one")


def signed(key: str, expiry: int = 2000) -> bytes:
    """A token of alice's."""
    return sign(key.encode(), SignedToken(expiry, "alice", "x"))


class TokenKeyTests(AccessTestCase):
    """Clients with and without a signed token."""

    def setUp(self) -> None:
        self.now = 1000.0
        self.path = self.file(NEW, OLD)
        self.keys = TokenKeys([self.path], lambda: self.now)

    def test_signed(self) -> None:
        """With the key, or with one that is being replaced."""
        for key in (NEW, OLD):
            self.assertEqual(self.let_in(self.keys, visitor(signed(key))), "alice")

    def test_several_files(self) -> None:
        keys = TokenKeys([self.path, self.file(OTHER)], lambda: self.now)
        for key in (NEW, OLD, OTHER):
            self.assertEqual(self.let_in(keys, visitor(signed(key))), "alice")

    def test_not_signed(self) -> None:
        """And whose key we do not know; whether that has expired is nobody's business."""
        self.assertEqual(self.refused(self.keys, visitor(b"token")), UNSIGNED)
        for expiry in (2000, 1):
            self.assertEqual(self.refused(self.keys, visitor(signed(OTHER, expiry))), FORGED)
        longer = signed(NEW).replace(b"2000:", b"9000:")
        self.assertEqual(self.refused(self.keys, visitor(longer)), FORGED)

    def test_expired(self) -> None:
        """At that second."""
        self.now = 1999.9
        self.assertEqual(self.let_in(self.keys, visitor(signed(NEW))), "alice")
        self.now = 2000.0
        self.assertEqual(self.refused(self.keys, visitor(signed(NEW))), EXPIRED)

    def test_reload(self) -> None:
        """Other keys, and a file that cannot be read."""
        self.file(OTHER, NEW, path=self.path)
        self.keys.reload()
        self.let_in(self.keys, visitor(signed(OTHER)))
        self.assertEqual(self.refused(self.keys, visitor(signed(OLD))), FORGED)
        self.file("short", path=self.path)
        self.assertRaises(RdvError, self.keys.reload)
        self.let_in(self.keys, visitor(signed(OTHER)))

    def test_bad_file(self) -> None:
        self.assertRaises(RdvError, TokenKeys, ["/none"])


class SettingTests(AccessTestCase):
    """``--token-key``."""

    def test_on(self) -> None:
        """It can be read anew."""
        path = self.file(NEW)
        door = ServerDoor(None, ServerSettings(token_key=(path,)))
        self.assertFalse(door.is_open(visitor()))
        self.assertTrue(door.is_open(visitor(signed(NEW, 1 << 36))))
        self.file(OTHER, path=path)
        door.reload()
        self.assertFalse(door.is_open(visitor(signed(NEW, 1 << 36))))
        self.assertTrue(door.is_open(visitor(signed(OTHER, 1 << 36))))

    def test_off(self) -> None:
        """Then nobody is asked anything."""
        self.assertEqual(ServerDoor(None, ServerSettings()).checks, ())
