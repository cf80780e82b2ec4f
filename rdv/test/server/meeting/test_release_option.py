"""The switch for aligned release, from the command line to the rendezvous."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from rdv.commands.arguments import parse
from rdv.commands.serve import settings_of
from rdv.server.site.service import RendezvousService
from rdv.settings import ServerSettings
from rdv.tap import Options
from rdv.test.server.meeting.held_case import FAR, HOLD, NEAR, HeldTestCase
from rdv.wire import Role


class OptionTests(HeldTestCase):
    """On, unless it is switched off."""

    def serve(self, *options: str) -> ServerSettings:
        """What ``rdv serve`` would serve with these options."""
        return settings_of(parse(["serve", *options]))

    def test_rdv_serve(self) -> None:
        self.assertTrue(self.serve().align)
        self.assertFalse(self.serve("--no-align").align)

    def test_twist_rdv(self) -> None:
        for arguments, align in (([], True), (["--no-align"], False)):
            options = Options()
            options.parseOptions(arguments)
            self.assertIs(options.settings().align, align)

    def test_settings(self) -> None:
        """They reach the rendezvous."""
        for settings, held in ((ServerSettings(), True), (ServerSettings(align=False), False)):
            reactor: Any = Clock()
            self.clock = reactor
            self.rendezvous = RendezvousService(reactor, settings).rendezvous
            near, far = self.come_from(Role.DIALER, NEAR), self.come_from(Role.ACCEPTOR, FAR)
            self.assert_told(far, near)
            if held:
                self.assert_untold(near)
                self.clock.advance(HOLD)
                self.settle()
            self.assert_told(near, far)
