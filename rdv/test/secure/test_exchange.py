"""
Tests of :mod:`rdv._secure.exchange`.
"""

from __future__ import annotations

from weakref import ref

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.exchange import Exchange, SecureAttempt, SecureExchange
from rdv._secure.handshake import (
    MESSAGE_SIZE,
    AcceptorHandshake,
    Cipher,
    DialerHandshake,
    Features,
    Kind,
    Opening,
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
    sealed = b"".join([*one.say(Signal.READY), *one.seal(b"hello")])
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

    def test_ephemeral_keys(self) -> None:
        """They are gone, with all that the records' keys came of, when the handshake is over."""
        acceptor, dialer = self.heard()
        handshakes = ref(acceptor._acceptor), ref(dialer._dialer)
        self.assertIsNotNone(handshakes[0]())
        acceptor.feed(dialer.confirm())
        self.assertEqual([handshake() for handshake in handshakes], [None, None])

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
        said = reply_to(acceptor, Reply(Features(0), Kind.JOIN, Cipher.AES_256_GCM, bytes(16)))
        self.assertRaises(ProtocolError, acceptor.feed, said)

    def test_breaks_the_rules(self) -> None:
        """A holder of the secret who says what nobody has offered, or offers too little."""
        good = Reply(Features(0), Kind.NEW, Cipher.AES_256_GCM, bytes(16))
        for bad in (
            good._replace(features=Features.MOVE),
            good._replace(features=Features.RESUME),
            *(good._replace(cipher=Cipher(bits)) for bits in (0, 3, 4)),
        ):
            acceptor, _ = self.candidate()
            self.assertRaises(ProtocolError, acceptor.feed, reply_to(acceptor, bad))
            self.assertIsNone(acceptor.path)
        token = SECRET.direct_token
        for ciphers in (0, 2):
            _, dialer = self.candidate()
            opening = Opening(Features(0), Cipher(ciphers), self.acceptor.identity)
            said = AcceptorHandshake(SECRET.psk, token).begin(opening)
            self.assertRaises(ProtocolError, dialer.feed, hello_line(token) + said)
        acceptor, dialer = self.heard()
        self.assertEqual(acceptor.feed(dialer.confirm()), b"")


class JoiningTests(SecureTestCase):
    """Other paths join the stream that has begun on the first."""

    def setUp(self) -> None:
        self.begin()

    def begin(self, *, acceptor: bool = True, dialer: bool = True) -> None:
        """
        The relay was chosen.

        :param acceptor: whether its stream may move.
        """
        self.acceptor = SecureAttempt(ACCEPTOR, SECRET, moves=acceptor)
        self.dialer = SecureAttempt(DIALER, SECRET, moves=dialer)
        self.ahead = self.heard()
        ours, theirs = self.relay = self.heard(is_relay=True)
        ours.feed(theirs.confirm())

    def join(self) -> None:
        """From now on others join it."""
        for attempt, side in zip((self.acceptor, self.dialer), self.relay, strict=True):
            attempt.stream = side.path

    def meet(self, acceptor: SecureExchange, dialer: SecureExchange) -> None:
        """They have the same keys, and those are of the stream that there is."""
        ready = b"".join(present(acceptor.path).say(Signal.READY))
        self.assertEqual(list(present(dialer.path).receive(ready)), [Signal.READY])
        for side in acceptor, dialer:
            first = present(self.relay[0].path).session
            self.assertEqual(present(side.path).session.identity, first.identity)

    def test_both_can(self) -> None:
        """That is known on either side when the first path is; one side alone cannot."""
        for able in ((True, True), (True, False), (False, True), (False, False)):
            self.begin(acceptor=able[0], dialer=able[1])
            for side in self.relay:
                self.assertEqual(side.can_move, all(able))

    def test_join(self) -> None:
        """Whether HELLO was heard before the stream began or after."""
        self.join()
        for acceptor, dialer in (self.ahead, self.heard()):
            self.assertEqual(acceptor.feed(dialer.confirm()), b"")
            self.meet(acceptor, dialer)

    def test_keys(self) -> None:
        """Who has not got the first path's cannot take over the stream."""
        self.join()
        stream = present(self.acceptor.stream)
        stream.session = stream.session._replace(join_key=bytes(32))
        acceptor, dialer = self.heard()
        acceptor.feed(dialer.confirm())
        self.assertRaises(ProtocolError, self.meet, acceptor, dialer)

    def test_wrong_session(self) -> None:
        """Of another stream, of none; or one that begins another. Nothing else is closed."""
        self.join()
        identity = present(self.acceptor.stream).session.identity
        for kind, named in (
            (Kind.JOIN, identity[:-1] + bytes([identity[-1] ^ 1])),
            (Kind.JOIN, self.dialer.identity),
            (Kind.NEW, self.dialer.identity),
            (Kind.NEW, identity),
        ):
            acceptor, _ = self.candidate()
            said = reply_to(acceptor, Reply(Features.MOVE, kind, Cipher.AES_256_GCM, named))
            self.assertRaises(ProtocolError, acceptor.feed, said)
            self.assertIsNone(acceptor.path)
        self.test_join()

    def test_without_the_feature(self) -> None:
        """A candidate that does not offer it, or does not take it, cannot join."""
        self.join()
        acceptor, _ = self.candidate()
        identity = present(self.acceptor.stream).session.identity
        said = reply_to(acceptor, Reply(Features(0), Kind.JOIN, Cipher.AES_256_GCM, identity))
        self.assertRaises(ProtocolError, acceptor.feed, said)
        self.acceptor.features = Features(0)
        acceptor, dialer = self.heard()
        self.assertRaises(ProtocolError, dialer.confirm)
        self.assertIsNone(dialer.path)

    def test_another_acceptor(self) -> None:
        """A recording of it, or another attempt, is not joined, however early it was heard."""
        self.dialer = SecureAttempt(DIALER, SECRET, moves=True)
        early = self.heard()
        self.acceptor = SecureAttempt(ACCEPTOR, SECRET, moves=True)
        self.relay = self.heard(is_relay=True)
        self.relay[0].feed(self.relay[1].confirm())
        self.join()
        self.assertRaises(ProtocolError, early[1].confirm)


def reply_to(acceptor: SecureExchange, reply: Reply) -> bytes:
    """What a dialer that knows the secret would write."""
    token = SECRET.direct_token
    handshake = DialerHandshake(SECRET.psk, token)
    handshake.read(acceptor.hello[-MESSAGE_SIZE:])
    return confirm_line(token) + handshake.answer(reply)[0]


class PairingTests(SecureTestCase):
    """Which identities count as the same peer."""

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
