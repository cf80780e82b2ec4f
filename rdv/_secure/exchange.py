"""
What the two sides send on a candidate before the stream, plain or secured.
"""

from __future__ import annotations

import hmac
import os

from rdv._line_matcher import LineMatcher
from rdv._secure.handshake import (
    MESSAGE_SIZE,
    AcceptorHandshake,
    Cipher,
    DialerHandshake,
    Features,
    Kind,
    Opening,
    Reply,
    Session,
)
from rdv._secure.path import SecurePath
from rdv._secure.records import fastest
from rdv._secure.secret import Secret
from rdv.errors import ProtocolError
from rdv.wire import Role, confirm_line, hello_line

__all__ = ["Exchange", "SecureAttempt", "SecureExchange"]


class Exchange:
    """
    HELLO and CONFIRM on one candidate.

    :ivar hello: what an acceptor sends first.
    :ivar path: the secured path when a secured exchange is complete; None in a plain one.
    """

    is_secure = False
    #: Whether the stream that begins on this candidate may move to another path. Known once the
    #: other side's line and message have arrived.
    can_move = False
    #: Bytes that may arrive after the other side's part and before the choice. A peer does not send
    #: more.
    early_limit = 1 << 16
    path: SecurePath | None = None

    def __init__(self, role: Role, token: bytes) -> None:
        self._token = token
        expected = hello_line if role is Role.DIALER else confirm_line
        self._line = LineMatcher(expected(token))
        self.hello = hello_line(token)

    @property
    def begun(self) -> bool:
        """Whether the other side's line has arrived, but not yet the whole message after it."""
        return False

    @property
    def is_the_peers(self) -> bool | None:
        """Whether the other side is known to be the peer; None if that is not known yet."""
        return True

    def feed(self, data: bytes) -> bytes | None:
        """
        Take the next bytes from the other side.

        :return: None while the other side's part is incomplete, then the data after it.
        :raises ProtocolError: if the other side sends anything else.
        """
        return self._line.feed(data)

    def confirm(self) -> bytes:
        """
        What a dialer writes on the candidate that it chooses.

        :raises ProtocolError: if it cannot be chosen after all.
        """
        return confirm_line(self._token)


class SecureAttempt:
    """
    Shared by the secured exchanges of one attempt.

    Each side has an identity for the attempt, which its messages contain. A dialer that knows the
    acceptor's identity from the relay accepts no other: that would be a recording, or another
    attempt of the acceptor. It also accepts no other once it has sent data, because the same bytes
    must not reach two applications. An acceptor accepts no other once a dialer has confirmed.

    :param moves: whether its stream may move from one path to another.
    :ivar identity: ours.
    :ivar features: the features that we offer.
    :ivar stream: the first path of the stream, which candidates join from now on; None until that
        path is chosen.
    """

    def __init__(
        self, role: Role, secret: Secret, identity: bytes | None = None, *, moves: bool = False
    ) -> None:
        self.role = role
        self.secret = secret
        self.identity = identity or os.urandom(16)
        self.features = Features.MOVE if moves else Features(0)
        self.stream: SecurePath | None = None
        self._peer: bytes | None = None
        self._chosen: list[tuple[bytes, SecurePath]] = []

    def exchange(self, *, is_relay: bool) -> SecureExchange:
        """The exchange for one candidate."""
        return SecureExchange(self, is_relay=is_relay)

    def meet(self, peer: bytes, *, is_it: bool) -> None:
        """
        The identity of the other side of a candidate has arrived.

        :param is_it: whether it is the peer's, so that no other is accepted from now on.
        :raises ProtocolError: if only another one is accepted.
        """
        known = {each for each, path in self._chosen if path.used} | {self._peer or peer}
        if known != {peer}:
            raise ProtocolError("the other side belongs to another attempt")
        if is_it:
            self._peer = peer

    def is_the_peers(self, identity: bytes) -> bool | None:
        """Whether it is the peer's identity; None if that is not known yet."""
        return None if self._peer is None else identity == self._peer

    def choose(self, peer: bytes, path: SecurePath) -> None:
        """We, the dialer, confirm on the path to ``peer``."""
        self._chosen.append((peer, path))


class SecureExchange(Exchange):
    """The secured exchange, with a handshake message after each line."""

    is_secure = True

    def __init__(self, attempt: SecureAttempt, *, is_relay: bool) -> None:
        secret = attempt.secret
        token = secret.token(is_relay=is_relay)
        super().__init__(attempt.role, token)
        self._attempt = attempt
        self._is_relay = is_relay
        self._message: bytes | None = None
        if attempt.role is Role.ACCEPTOR:
            self._acceptor = AcceptorHandshake(secret.psk, token)
            opening = Opening(attempt.features, Cipher.ALL, attempt.identity)
            self.hello += self._acceptor.begin(opening)
        else:
            self.early_limit = 0

    @property
    def begun(self) -> bool:
        """See :class:`Exchange`."""
        return self._message is not None and len(self._message) < MESSAGE_SIZE

    @property
    def is_the_peers(self) -> bool | None:
        """See :class:`Exchange`. To an acceptor, the dialer's message is proof."""
        if self._attempt.role is Role.ACCEPTOR:
            return True
        return self._attempt.is_the_peers(self._opening.attempt)

    def feed(self, data: bytes) -> bytes | None:
        """See :class:`Exchange`."""
        if self._message is None:
            rest = super().feed(data)
            if rest is None:
                return None
            data, self._message = rest, b""
        self._message += data
        if len(self._message) < MESSAGE_SIZE:
            return None
        message, behind = self._message[:MESSAGE_SIZE], self._message[MESSAGE_SIZE:]
        if self._attempt.role is Role.ACCEPTOR:
            self._finish(message)
        else:
            self._read(message, behind)
        return behind

    def _read(self, message: bytes, behind: bytes) -> None:
        if behind:
            raise ProtocolError("the other side is not waiting for CONFIRM")
        # Only now, because most candidates of a dialer fail, and a key takes time to generate.
        self._dialer = DialerHandshake(self._attempt.secret.psk, self._token)
        self._opening = self._dialer.read(message)
        self._attempt.meet(self._opening.attempt, is_it=self._is_relay)
        self.can_move = bool(self._opening.features & self._attempt.features & Features.MOVE)

    def _finish(self, message: bytes) -> None:
        reply, session = self._acceptor.finish(message)
        del self._acceptor  # the ephemeral key must not stay in memory while the stream lasts
        self.can_move = bool(reply.features & Features.MOVE)
        stream = self._attempt.stream
        if reply.kind is Kind.JOIN:
            named = reply.identity
            if stream is None or not hmac.compare_digest(named, stream.session.identity):
                raise ProtocolError("the other side wants to join a stream that does not exist")
        elif stream is None:
            self._attempt.meet(reply.identity, is_it=True)
        else:
            raise ProtocolError("the other side does not join the existing stream")
        self._begin(session, reply.cipher)

    def _begin(self, session: Session, cipher: Cipher) -> None:
        """
        The handshake is complete.

        :raises ProtocolError: if the path cannot join the existing stream.
        """
        role, stream = self._attempt.role, self._attempt.stream
        if stream is not None and not self.can_move:
            raise ProtocolError("the other side cannot move a stream")
        self.path = SecurePath(role, session, cipher, moves=self.can_move, first=stream)

    def confirm(self) -> bytes:
        """See :class:`Exchange`: CONFIRM and the message that answers the acceptor's."""
        attempt, peer, stream = self._attempt, self._opening.attempt, self._attempt.stream
        attempt.meet(peer, is_it=False)
        features = attempt.features & self._opening.features
        cipher = fastest() & self._opening.ciphers or Cipher.AES_256_GCM
        if stream is None:
            reply = Reply(features, Kind.NEW, cipher, attempt.identity)
        else:
            reply = Reply(features, Kind.JOIN, cipher, stream.session.identity)
        message, session = self._dialer.answer(reply)
        del self._dialer
        self._begin(session, cipher)
        assert self.path is not None
        self.early_limit = Exchange.early_limit
        attempt.choose(peer, self.path)
        return super().confirm() + message
