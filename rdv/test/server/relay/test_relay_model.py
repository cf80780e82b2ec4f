"""
Whatever both clients do, no byte is lost, no end is invented, and nothing is left over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor

from rdv._flows.kernel import splice
from rdv.server import Outcome
from rdv.test.server.hand_relay import Far, HandRelay, HandTestCase

#: Below and above what a buffer, a pipe and a piece hold.
SIZES = st.one_of(st.integers(1, 100), st.integers(1, 300_000), st.just(1 << 16))
SIDES = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), SIDES, SIZES),
        st.tuples(st.just("read"), SIDES, st.booleans()),
        st.tuples(st.just("end"), SIDES, st.none()),
        st.tuples(st.just("turn"), SIDES, st.integers(1, 20)),
        st.tuples(st.just("hear"), SIDES, st.integers(1, 100_000)),
    ),
    max_size=25,
)
#: What happens before both lines have arrived, and after them; then the last event, and whom it
#: affects.
SCRIPTS = st.tuples(
    STEPS, STEPS, st.sampled_from(["both_end", "reset", "leave", "abort", "shut_down"]), SIDES
)
#: Small kernel buffers, so that much has to wait in the server; or the default size.
BUFFERS = st.sampled_from([0, 4096])

Script = tuple[list[tuple[str, int, Any]], list[tuple[str, int, Any]], str, int]


class Play:
    """The actions of both, step by step."""

    def __init__(self, relay: HandRelay) -> None:
        self.relay = relay

    def begin(self, early: list[tuple[str, int, Any]]) -> None:
        """The acceptor need not wait for CONFIRM before it sends."""
        self.relay.acceptor.say_line()
        for what, side, value in early:
            if what in ("read", "turn") or (what == "send" and side == 1):
                getattr(self, what)(self.relay.fars[side], value)
        self.relay.dialer.say_line()
        self.relay.until_relayed()

    def send(self, far: Far, size: int) -> None:
        """Send, if it has not ended."""
        if not far.finished:
            far.send(size)

    def read(self, far: Far, reading: bool) -> None:
        """Begin to read, or stop."""
        far.reading = reading

    def end(self, far: Far, _: None) -> None:
        """End its direction."""
        far.end()

    def turn(self, far: Far, turns: int) -> None:
        """Give the relay some time."""
        self.relay.turns(turns)

    def hear(self, far: Far, size: int) -> None:
        """Read so much more, if there is so much, and then stop."""
        wanted = min(self.relay.other(far).sent, far.received + size)
        far.reading = True
        self.relay.until(lambda: far.received >= wanted)
        far.reading = False

    # What comes last.

    def both_end(self, far: Far) -> None:
        """The usual end."""
        for each in self.relay.fars:
            each.end()

    def reset(self, far: Far) -> None:
        """One breaks."""
        far.reset()

    def leave(self, far: Far) -> None:
        """One closes, and does not care what else is sent to it."""
        far.close()
        self.relay.other(far).end()

    def abort(self, far: Far) -> None:
        """The server cuts the pair."""
        self.relay.pair.abort()

    def shut_down(self, far: Far) -> None:
        """The server stops."""
        self.relay.rendezvous.close()


class ModelTests(HandTestCase):
    """Scripts of sending, reading, waiting and ending, and in the end perhaps a break."""

    def play(self, relay: HandRelay, script: Script) -> None:
        """Do what the script says, and see what comes of it."""
        early, steps, last, side = script
        play = Play(relay)
        play.begin(early)
        for what, who, value in steps:
            getattr(play, what)(relay.fars[who], value)
        getattr(play, last)(relay.fars[side])
        for far in relay.fars:
            far.reading = True
        relay.until(lambda: all(far.ended or far.broken or far.gone for far in relay.fars))
        for far in relay.fars:
            other = relay.other(far)
            self.assertLessEqual(far.received, other.sent)
            if far.ended:  # what looks complete is complete
                self.assertEqual((far.received, other.finished), (other.sent, True))
        if last == "both_end":
            self.assertTrue(relay.dialer.ended and relay.acceptor.ended)
            counts = relay.pair.dialer_bytes, relay.pair.acceptor_bytes
            self.assertEqual(counts, (relay.dialer.sent, relay.acceptor.sent))

    def check(self, kind: Callable[[], Any], script: Script, **options: Any) -> None:
        """Play a script with a reactor of that kind."""
        if type(self.reactor) is not kind:
            self.reactor = self.make_reactor(kind)
        try:
            relay = self.relay(**options)
            self.play(relay, script)
            self.close()
        except BaseException:
            # The next example must not find anything of this one.
            self.forget()
            raise
        self.assertEqual(relay.rendezvous.outcomes, {Outcome.RELAYED: 1})

    @settings(max_examples=100)
    @given(script=SCRIPTS, buffer=BUFFERS, late=st.booleans())
    def test_spliced(self, script: Script, buffer: int, late: bool) -> None:
        self.check(EPollReactor, script, buffer=buffer, late=late)

    @settings(max_examples=50)
    @given(script=SCRIPTS, buffer=BUFFERS, late=st.booleans())
    def test_spliced_with_poll(self, script: Script, buffer: int, late: bool) -> None:
        self.check(PollReactor, script, buffer=buffer, late=late)

    @settings(max_examples=50)
    @given(script=SCRIPTS, buffer=BUFFERS, late=st.booleans())
    def test_spliced_with_select(self, script: Script, buffer: int, late: bool) -> None:
        self.check(SelectReactor, script, buffer=buffer, late=late)

    @settings(max_examples=50)
    @given(script=SCRIPTS, buffer=BUFFERS)
    def test_copied(self, script: Script, buffer: int) -> None:
        self.check(EPollReactor, script, buffer=buffer, copy=True)

    @settings(max_examples=50)
    @given(script=SCRIPTS, buffer=BUFFERS)
    def test_no_pipes(self, script: Script, buffer: int) -> None:
        """What is bulk is copied, too, but by the kernel's flows."""
        self.check(EPollReactor, script, buffer=buffer, pipes=0)

    @settings(max_examples=50)
    @given(script=SCRIPTS, late=st.booleans())
    def test_batched(self, script: Script, late: bool) -> None:
        """Sockets wait for more as soon as anything is bulk."""
        self.patch(splice, "_LONG_RUN", 1)
        self.check(EPollReactor, script, late=late)

    @settings(max_examples=50)
    @given(script=SCRIPTS, buffer=BUFFERS)
    def test_limited(self, script: Script, buffer: int) -> None:
        """With pauses that are short, but many."""
        self.check(EPollReactor, script, buffer=buffer, rate_limit=300_000_000)
