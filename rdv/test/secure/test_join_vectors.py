"""
The vectors of docs/protocol.rst for a path that joins a stream.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.handshake import Kind, Session
from rdv._secure.path import SecurePath, Signal
from rdv.test.secure.test_handshake import OPENING, REPLY, handshakes
from rdv.wire import Role


def moved(first: Session, joining: Session) -> list[str]:
    """What is said when both directions move, ``rdv`` and the end behind that of the dialer."""
    acceptor, dialer = (
        SecurePath(role, first, REPLY.cipher, moves=True) for role in (Role.ACCEPTOR, Role.DIALER)
    )
    there, here = (
        SecurePath(each.order.role, joining, REPLY.cipher, moves=True, first=each)
        for each in (acceptor, dialer)
    )
    said = [
        acceptor.say(Signal.READY),
        there.say(Signal.READY),
        here.say(Signal.HERE),
        dialer.say(Signal.MOVE),
        here.seal(b"rdv"),
        here.say(Signal.END),
        acceptor.say(Signal.MOVE),
        there.say(Signal.DONE),
    ]
    return [b"".join(each).hex() for each in said]


class JoinVectorTests(SynchronousTestCase):
    """The messages on the new path, and on the first one."""

    def test_joining(self) -> None:
        """A direct path that joins the stream of the relay, and what is said on both."""
        acceptor, dialer = handshakes()
        dialer.read(acceptor.begin(OPENING))
        first = dialer.answer(REPLY)[1]
        acceptor, dialer = handshakes(is_relay=False, keys=(bytes([5] * 32), bytes([6] * 32)))
        opening = acceptor.begin(OPENING)
        self.assertEqual(
            opening.hex(),
            "50a61409b1ddd0325e9b16b700e719e9772c07000b1bd7786e907c653d20495d"
            "58da742e3d9d14f654bd90193b512e6b4eb1bb9ceb5d20a1cf6f46a120bb50f271e93a282eb5ce5b",
        )
        dialer.read(opening)
        joins = REPLY._replace(kind=Kind.JOIN, identity=first.identity)
        reply, joining = dialer.answer(joins)
        self.assertEqual(acceptor.finish(reply), (joins, joining))
        self.assertEqual(
            reply.hex(),
            "f5b2d6e60f9477e310c2982daaa6c9136c108a1777c5947e448fa37d68174557"
            "b8375e056f9f515d235b454aeefc8161bc20d5068442586817f82818c6fe030dad69599a888050c1",
        )
        self.assertEqual(
            [key.hex() for key in joining[:2] + joining.joined_to(first)[:2]],
            [
                "20b54fd5e405d2ee0751aa75f074c155eb01746225b75c20bf2fca3955285549",
                "aed7dceb7cf810f065f6328d94316dabe484e7cc68b9b3b511bfe58ac7dfd399",
                "1aef77a0d0e722c747c12210cbb6366b3a21243acc4c777cd7346172816de156",
                "b1f2fbd0b84a5f668c65171c9e1ffe650afb0401710706d90045addb890127bb",
            ],
        )
        self.assertEqual(
            moved(first, joining),
            [
                "17030300120d06af66bb10848eb1f78f17f063151b4354",
                "170303001289f86479a9adb9a3edb4393d789b145efbe7",
                "17030300127f85d1439d9a591e982dde5d913bede9845e",
                "17030300123802910a1e8cfcd36265cb14564aaecef13f",
                "1703030014febe45afd85a43586bddfee261193f4fc48e141b",
                "17030300133ce959cbddead7ec2f7b24e89cf4a8b2930ba9",
                "170303001280874520d8c1df3fdbc8ccf5eb3675484d60",
                "170303001265e35baf08f91794a33654cd9437bfbd4782",
            ],
        )
