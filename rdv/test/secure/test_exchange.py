"""
Tests of :mod:`rdv._secure.exchange`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.exchange import Exchange, SecureAttempt, SecureExchange
from rdv._secure.handshake import (
    MESSAGE_SIZE,
    Cipher,
    DialerHandshake,
    Features,
    Kind,
    Reply,
)
from rdv._secure.path import SecurePath, Signal
from rdv._secure.secret import Secret
from rdv.errors import ProtocolError
from rdv.test.doubles import present
from rdv.wire import Role, confirm_line, hello_line

SECRET = Secret(bytes(range(16)))
ACCEPTOR, DIALER = Role.ACCEPTOR, Role.DIALER


def talk(one: SecurePath, other: SecurePath) -> None:
    """The two have the same keys."""
    sealed = b"".join([*one.announce(), *one.seal(b"hello")])
    found = list(other.receive(sealed))
    assert found == [Signal.READY, b"hello"], found


class PlainTests(SynchronousTestCase):
    """The lines alone."""

    def test_lines(self) -> None:
        acceptor, dialer = Exchange(ACCEPTOR, b"t"), Exchange(DIALER, b"t")
        self.assertEqual(acceptor.hello, hello_line(b"t"))
        self.assertEqual(dialer.feed(acceptor.hello + b"early"), b"early")
        self.assertEqual(dialer.confirm(), confirm_line(b"t"))
        self.assertEqual(acceptor.feed(dialer.confirm()[:5]), None)
        self.assertEqual(acceptor.feed(dialer.confirm()[5:]), b"")
        self.assertEqual((acceptor.path, acceptor.begun), (None, False))


class SecureTestCase(SynchronousTestCase):
    """Both sides of one attempt."""

    def setUp(self) -> None:
        self.acceptor = SecureAttempt(ACCEPTOR, SECRET)
        self.dialer = SecureAttempt(DIALER, SECRET)

    def candidate(self, *, is_relay: bool = False) -> tuple[SecureExchange, SecureExchange]:
        """Both ends of one candidate."""
        return (
            self.acceptor.exchange(is_relay=is_relay),
            self.dialer.exchange(is_relay=is_relay),
        )

    def heard(self, *, is_relay: bool = False) -> tuple[SecureExchange, SecureExchange]:
        """The same, when HELLO has come."""
        acceptor, dialer = self.candidate(is_relay=is_relay)
        self.assertEqual(dialer.feed(acceptor.hello), b"")
        return acceptor, dialer


class SecureTests(SecureTestCase):
    """Lines and messages."""

    def test_both(self) -> None:
        """On either kind of candidate, each with its own token."""
        for is_relay in (False, True):
            self.setUp()
            acceptor, dialer = self.heard(is_relay=is_relay)
            line = hello_line(SECRET.token(is_relay=is_relay))
            self.assertEqual(acceptor.hello[:-MESSAGE_SIZE], line)
            said = dialer.confirm()
            self.assertTrue(said.startswith(confirm_line(SECRET.token(is_relay=is_relay))))
            self.assertEqual(acceptor.feed(said + b"records"), b"records")
            talk(present(acceptor.path), present(dialer.path))

    @given(st.integers(1, 60))
    def test_pieces(self, size: int) -> None:
        """However it is cut; between the line and the end of the message it has begun."""
        acceptor, dialer = self.candidate()
        hello = acceptor.hello
        for start in range(0, len(hello), size):
            line_is_there = start + size >= len(hello) - MESSAGE_SIZE
            whole = start + size >= len(hello)
            found = dialer.feed(hello[start : start + size])
            self.assertEqual(found, b"" if whole else None)
            self.assertEqual(dialer.begun, line_is_there and not whole)

    def test_byte_behind(self) -> None:
        """An acceptor has nothing to say before CONFIRM."""
        acceptor, dialer = self.candidate()
        self.assertRaises(ProtocolError, dialer.feed, acceptor.hello + b"x")
        self.assertEqual(dialer.early_limit, 0)

    def test_plain_peer(self) -> None:
        """One that has the server token and nothing else, or another secret."""
        token = SECRET.server_token
        others = SecureAttempt(ACCEPTOR, Secret(bytes(16))).exchange(is_relay=True)
        for said in (hello_line(token) + bytes(MESSAGE_SIZE), others.hello):
            _, dialer = self.candidate(is_relay=True)
            self.assertRaises(ProtocolError, dialer.feed, said)
        acceptor, _ = self.candidate(is_relay=True)
        self.assertRaises(ProtocolError, acceptor.feed, confirm_line(token) + bytes(MESSAGE_SIZE))

    def test_joins_nothing(self) -> None:
        """There is no stream to join yet."""
        acceptor, _ = self.candidate()
        token = SECRET.direct_token
        handshake = DialerHandshake(SECRET.psk, token)
        handshake.read(acceptor.hello[-MESSAGE_SIZE:])
        reply = Reply(Features(0), Kind.JOIN, Cipher.AES_256_GCM, bytes(16))
        message, _ = handshake.answer(reply)
        self.assertRaises(ProtocolError, acceptor.feed, confirm_line(token) + message)


class PairingTests(SecureTestCase):
    """Who is taken for the same peer."""

    def test_replayed(self) -> None:
        """Having heard the acceptor on the relay, a dialer takes no recording of it."""
        recorded = SecureAttempt(ACCEPTOR, SECRET).exchange(is_relay=False).hello
        self.heard(is_relay=True)
        _, dialer = self.candidate()
        self.assertRaises(ProtocolError, dialer.feed, recorded)
        self.heard()

    def test_replayed_first(self) -> None:
        """One that came before the relay is not confirmed any more."""
        recorded = SecureAttempt(ACCEPTOR, SECRET).exchange(is_relay=False).hello
        _, dialer = self.candidate()
        dialer.feed(recorded)
        self.heard(is_relay=True)
        self.assertRaises(ProtocolError, dialer.confirm)

    def test_nothing_was_sent(self) -> None:
        """A dialer may leave a candidate on which it has sent nothing for anyone."""
        _, dialer = self.heard()
        dialer.confirm()
        self.acceptor = SecureAttempt(ACCEPTOR, SECRET)
        self.heard()[1].confirm()

    def test_something_was_sent(self) -> None:
        """Else only for one of the same acceptor: no byte may reach two."""
        _, dialer = self.heard()
        _, ready = self.heard()
        dialer.confirm()
        present(dialer.path).seal(b"once")
        ready.confirm()
        self.acceptor = SecureAttempt(ACCEPTOR, SECRET)
        acceptor, late = self.candidate()
        self.assertRaises(ProtocolError, late.feed, acceptor.hello)

    def test_two_dialers(self) -> None:
        """An acceptor that one attempt has confirmed takes no other, but the same once more."""
        confirmed = []
        for _ in range(2):
            acceptor, dialer = self.heard()
            confirmed.append((acceptor, dialer.confirm()))
        self.dialer = SecureAttempt(DIALER, SECRET)
        acceptor, dialer = self.heard()
        confirmed.append((acceptor, dialer.confirm()))
        self.assertEqual([side.feed(said) for side, said in confirmed[:2]], [b"", b""])
        self.assertRaises(ProtocolError, confirmed[2][0].feed, confirmed[2][1])
