"""
How a worker reads the messages of its parent.
"""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.workers.orders import DRAIN, HANGING, PING, RELOAD, Hearing, encode_settings
from rdv.settings import ServerSettings

SETTINGS = ServerSettings(listen=("8080",), log_format="json", path="/g\n\r\u2028=p")
SAID = b"".join((PING, HANGING, encode_settings(SETTINGS), RELOAD, PING, DRAIN))


class HearingTests(SynchronousTestCase):
    @given(st.lists(st.integers(0, len(SAID))))
    def test_in_pieces(self, cuts: list[int]) -> None:
        """Each is heard once, in order, whatever pieces it comes in."""
        heard: list[object] = []
        names = (PING, HANGING, RELOAD, DRAIN)
        hearing = Hearing({name: partial(heard.append, name) for name in names}, heard.append)
        ends = [*sorted(cuts), len(SAID)]
        for begin, end in zip([0, *ends], ends, strict=False):
            hearing.write(SAID[begin:end])
        self.assertEqual(heard, [PING, HANGING, SETTINGS, RELOAD, PING, DRAIN])
