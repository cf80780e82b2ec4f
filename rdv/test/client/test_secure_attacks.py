"""
A malicious server, and other hosts on the direct paths of secured streams: only a holder of the
secret gets data, data reaches at most one application, and the genuine peer gets through.
"""

from __future__ import annotations

from itertools import product
from typing import Any, cast

from twisted.internet.error import ConnectionDone

from rdv._secure.handshake import MESSAGE_SIZE
from rdv.addresses import Address
from rdv.client.reasons import break_text
from rdv.test.client.attack_case import HELLO, OTHER, RANDOM, SECRET, AttackTestCase
from rdv.test.client.doubles import answer
from rdv.test.doubles import present
from rdv.wire import confirm_line, hello_line


class ServerTests(AttackTestCase):
    """A server that pairs holders of the secret as it likes."""

    def test_crossed_attempts(self) -> None:
        """
        One attempt of an acceptor is confirmed by a path that swallows READY, and the server offers
        the dialer the relay of another, or of the same. Its bytes reach one of them at most.
        """
        for crossed in (True, False):
            host, relay, first = self.ask("accept")
            _, another, second = self.ask("accept")
            _, dialer, dialing = self.ask("dial")
            relay.say(answer())
            another.say(answer())
            self.flush()
            between, came = self.stranger(says=b"")
            dialer.say(answer(between))
            self.flush()
            far = self.visit(self.address(host))
            far.limit = len(HELLO) + MESSAGE_SIZE
            far.join(came[0])
            self.flush()
            ours = self.attach(dialing)
            ours[0].write(b"request")
            self.flush()
            theirs = self.attach(first)
            self.flush()
            self.assertEqual(theirs[1].received, b"")
            dialer.join(another if crossed else relay)
            self.advance(20)
            if crossed:
                others = self.attach(second)
                self.flush()
                self.assertEqual((theirs[1].received, others[1].received), (b"", b"request"))
                ours[0].abortConnection()
            else:
                self.assertFalse(present(ours[1].lost).check(ConnectionDone))
                self.assertEqual(theirs[1].received, b"request")
                second.addErrback(lambda _: None)
                second.cancel()
                self.flush()
                self.assertIsNone(self.successResultOf(second))
            far.close()
            self.advance(20)
            self.assertFalse(present(theirs[1].lost).check(ConnectionDone))

    def test_two_dialers_crosswise(self) -> None:
        """Each has one peer, on whichever path, and no stream is mixed from two."""
        acceptors = [self.ask("accept") for _ in range(2)]
        dialers = [self.ask("dial") for _ in range(2)]
        for _, relay, _ in acceptors:
            relay.say(answer())
        for (_, relay, _), (host, _, _) in zip(dialers, acceptors, strict=True):
            relay.say(answer(self.address(host)))
        for (_, relay, _), (_, other, _) in zip(dialers, acceptors[::-1], strict=True):
            relay.join(other)
        self.advance(3)
        ends = [self.attach(result) for _, _, result in (*dialers, *acceptors)]
        for number, (connection, _) in enumerate(ends):
            connection.write(b"%d" % number)
        self.flush()
        heard = [int(recorder.received) for _, recorder in ends]
        for number, peer in enumerate(heard):
            self.assertEqual(heard[peer], number)
            self.assertEqual(
                ends[number][0].exporter("test", 20), ends[peer][0].exporter("test", 20)
            )
        for connection, _ in ends:
            connection.abortConnection()
        self.flush()

    def test_another_secret(self) -> None:
        """Two that have not the same one are strangers to each other, whatever the server says."""
        _, relay, accepting = self.ask("accept", OTHER)
        _, dialer, dialing = self.ask("dial")
        relay.say(answer())
        dialer.say(answer())
        relay.join(dialer)
        self.advance(40)
        self.failureResultOf(accepting)
        self.failureResultOf(dialing)


class StrangerTests(AttackTestCase):
    """Other hosts on the direct paths; the genuine peer is on the relay, or connects after them."""

    def meet(self, *addresses: Address, direct: bool = False) -> Any:
        """
        Both ask. The dialer is told these addresses, before the acceptor's own if ``direct``.

        :return: both results, and the joining of their relays.
        """
        host, relay, accepting = self.ask("accept")
        _, dialer, dialing = self.ask("dial")
        relay.say(answer())
        dialer.say(answer(*addresses, *([self.address(host)] if direct else [])))
        return dialing, accepting, host, lambda: relay.join(dialer)

    def test_recording(self) -> None:
        """A recording of the acceptor is no peer: known at once, or when READY does not come."""
        for known in (True, False):
            address, came = self.stranger(says=b"" if known else self.recorded())
            dialing, accepting, _, join = self.meet(address)
            if known:
                join()
                self.flush()
                came[0].say(self.recorded())
            self.flush()
            if not known:
                self.assertFalse(cast(Any, dialing).result.is_relay)
                join()
            self.advance(3)
            self.assertTrue(self.exchange(dialing, accepting))
            self.assertNotIn(b"question", came[0].received)
            self.assertIsNotNone(came[0].lost)

    def test_recording_before_the_relay(self) -> None:
        """What has been written goes to the peer alone, as soon as the relay tells who that is."""
        address, came = self.stranger(says=self.recorded())
        dialing, accepting, _, join = self.meet(address)
        self.flush()
        dialer, ours = self.attach(dialing)
        self.assertFalse(dialer.is_relay)
        dialer.write(b"request")
        self.advance(1)
        received = came[0].received
        join()
        self.advance(0.1)
        self.assertTrue(dialer.is_relay)
        acceptor, theirs = self.attach(accepting)
        acceptor.write(b"answer")
        self.flush()
        self.assertEqual((theirs.received, ours.received), (b"request", b"answer"))
        self.assertEqual(came[0].received, received)
        for each in (dialer, acceptor):
            each.loseConnection()
        self.flush()
        self.assertTrue(ours.lost_cleanly and theirs.lost_cleanly)

    def test_recording_alone(self) -> None:
        """
        Where there is nothing else, it ends, not as if there had been a stream, and says why: no
        proof has come, or a forged one.
        """
        forged = b"\x17\x03\x03\0\x20" + bytes(32)
        for is_relay, proof in product((True, False), (b"", forged)):
            hello = self.recorded(is_relay=is_relay)
            address, came = self.stranger(says=hello)
            _, dialer, dialing = self.ask("dial")
            if is_relay:
                dialer.say(answer() + hello)
                self.advance(2)
            else:
                dialer.say(answer(address))
                dialer.close()
                self.flush()
            connection, recorder = self.attach(dialing)
            self.assertEqual(connection.is_relay, is_relay)
            connection.write(b"request")
            connection.loseConnection()
            self.assertRaises(RuntimeError, connection.exporter, "test", 20)
            (dialer if is_relay else came[0]).say(proof)
            self.advance(20)
            lost = present(recorder.lost)
            self.assertFalse(lost.check(ConnectionDone))
            text = "the peer did not prove that it knows the secret"
            if proof:
                text += ": a record that is not from the peer"
            self.assertEqual(break_text(lost, relayed=is_relay), text)

    def test_recording_first(self) -> None:
        """The genuine direct path is still found, when the relay has told who is the peer."""
        address, came = self.stranger(says=b"")
        dialing, accepting, _, join = self.meet(address, direct=True)
        join()
        self.flush()
        self.assertFalse(self.exchange(dialing, accepting))
        self.assertIsNotNone(came[0].lost)

    def test_bogus_acceptors(self) -> None:
        """Those that say HELLO and no more, nearly all of it, or what does not open."""
        whole = self.recorded()
        for says in (
            whole[:-1],
            whole[: len(HELLO)],
            whole[: len(HELLO)] + RANDOM,
            whole + b"\x17",
            whole[:-1] + bytes([whole[-1] ^ 1]),
            self.recorded(OTHER),
        ):
            address, came = self.stranger(says=says)
            dialing, accepting, _, join = self.meet(address)
            self.flush()
            join()
            self.advance(5.1)
            self.assertTrue(self.exchange(dialing, accepting), says)
            self.assertEqual([pipe.received for pipe in came], [b""] * len(came))

    def test_bogus_dialers(self) -> None:
        """
        Twenty that say CONFIRM and what does not open, nearly all of it, or nothing. The acceptor
        says to them what it says to everybody, and goes on with its peer.
        """
        line = confirm_line(SECRET.direct_token)
        for says in (line + RANDOM, line + RANDOM[:-1], line, b"", b"?"):
            host, relay, accepting = self.ask("accept")
            held = [self.visit(self.address(host)) for _ in range(10)]
            relay.say(answer())
            self.flush()
            visitors = held + [self.visit(self.address(host)) for _ in range(10)]
            for visitor in visitors:
                if visitor.lost is None:
                    visitor.say(says)
            self.flush()
            for visitor in visitors:
                self.assertIn(len(visitor.received), (0, len(HELLO) + MESSAGE_SIZE))
            _, dialer, dialing = self.ask("dial")
            dialer.say(answer(self.address(host)))
            relay.join(dialer)
            self.advance(0.1)
            self.assertFalse(self.exchange(dialing, accepting))
            self.flush()
            self.assertTrue(all(visitor.lost is not None for visitor in visitors))

    def test_plain_peers(self) -> None:
        """Who knows the tokens, and not the secret, is nobody, on either side."""
        for token in (SECRET.server_token, SECRET.direct_token):
            address, came = self.stranger(says=hello_line(token) + b"hello")
            dialing, accepting, host, join = self.meet(address)
            self.flush()
            visitor = self.visit(self.address(host))
            visitor.say(confirm_line(token) + bytes(200))
            self.flush()
            self.assertIsNotNone(visitor.lost)
            join()
            self.advance(5.1)
            self.assertTrue(self.exchange(dialing, accepting))
            self.assertEqual(came[0].received, b"")
