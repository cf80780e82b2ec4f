"""
Settings that change while a server runs: each takes effect in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from rdv.errors import RdvError
from rdv.server.limits.numbers import Limits
from rdv.server.site.parts import limits_of, make_rendezvous, make_site, relay_limits_of, retune
from rdv.server.site.service import RendezvousService
from rdv.settings import ServerSettings, server_settings
from rdv.test.doubles import present

KEY = "0123456789abcdef0123456789abcdef"
URL = "http://127.0.0.1:1/"

#: Where the value of a setting shows in a server that has it.
PROBES: Mapping[str, Callable[[Any], object]] = {
    "allow": lambda it: it._door.checks[0]._named[0],
    "deny": lambda it: it._door.checks[0]._named[1],
    "bearer_file": lambda it: it._door.checks[0]._files,
    "token_key": lambda it: it._door.checks[0]._files,
    "auth_url": lambda it: it._door.checks[0]._url.decode(),
    "auth_header_file": lambda it: it._door.checks[0]._header_file,
    "auth_pass": lambda it: tuple(name.decode() for name in it._door.checks[0]._passed[2:]),
    "auth_timeout": lambda it: it._door.checks[0]._timeout,
    "auth_cache": lambda it: it._door.checks[0]._verdicts._keep,
    "limit_connections": lambda it: it.rendezvous.admission.most[0],
    "limit_waiting": lambda it: it.rendezvous.admission.most[1],
    "limit_pairs": lambda it: it.rendezvous.admission.most[2],
    "limit_requests": lambda it: 1 / it.rendezvous.admission._requests._interval,
    "limit_failures": lambda it: 60 / it.rendezvous.admission._failures._interval,
    "limits": lambda it: it.rendezvous.admission._is_on,
    "relay": lambda it: it.rendezvous.relaying.limits.allowed,
    "relay_rate": lambda it: it.rendezvous.relaying.limits.rate,
    "relay_rate_total": lambda it: it.rendezvous.relaying._total._rate,
    "relay_quota": lambda it: it.rendezvous.relaying.limits.quota,
    "lobby_timeout": lambda it: it.rendezvous._lobby._expiry.timeout,
    "handshake_timeout": lambda it: it.rendezvous._handshakes._expiry.timeout,
    "idle_timeout": lambda it: it.rendezvous.idle_timeout,
    "align": lambda it: it.rendezvous.align,
    "drain": lambda it: it._settings.drain,
    "drain_replaced": lambda it: it._settings.drain_replaced,
    "health_path": lambda it: next(iter(it._site.health._checks)).decode().rpartition("/")[0],
}
#: Settings that only the log has.
ELSEWHERE = {"log_addresses"}


class ChangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()

    def file(self, content: str) -> str:
        """The name of one that only we can read."""
        path = Path(self.mktemp())
        path.touch(0o600)
        path.write_text(content)
        return str(path)

    def test_each(self) -> None:
        """There is none that a running server takes over and does not heed."""
        others: dict[str, Any] = {
            "allow": ("192.0.2.0/24",),
            "deny": ("192.0.2.0/24",),
            "bearer_file": (self.file(KEY),),
            "token_key": (self.file(KEY),),
            "auth_url": URL,
            "auth_header_file": self.file("X: y"),
            "auth_pass": ("X",),
            "idle_timeout": 7.0,
            "health_path": "/rdv",
        }
        seen = set()
        for setting in server_settings():
            if setting.at_start or setting.field in ELSEWHERE:
                continue
            seen.add(setting.field)
            value = others.get(setting.field, setting.default)
            if value is setting.default:
                value = not value if setting.parse is None else value + 7
            asks = {"auth_url": URL} if setting.field.startswith("auth") else {}
            service = RendezvousService(self.reactor, ServerSettings())
            service.use(replace(ServerSettings(), **{**asks, setting.field: value}))
            found = PROBES[setting.field](service)
            self.assertEqual(found, value, setting.field)
        self.assertEqual(seen, set(PROBES))

    def test_refused(self) -> None:
        """All is as it was."""
        service: Any = RendezvousService(self.reactor, ServerSettings(deny=("192.0.2.0/24",)))
        checks = service._door.checks
        self.assertRaises(
            RdvError, service.use, ServerSettings(deny=("/none",), drain=7.0, limit_pairs=1)
        )
        self.assertIs(service._door.checks, checks)
        self.assertEqual(service._settings.drain, 5.0)
        self.assertEqual(service.rendezvous.admission.most[2], 64)

    def test_same_door(self) -> None:
        """What has been learned about clients is kept when nothing has changed about them."""
        settings = ServerSettings(auth_url=URL)
        service: Any = RendezvousService(self.reactor, settings)
        checks = service._door.checks
        service.use(replace(settings, drain=7.0))
        self.assertIs(service._door.checks, checks)

    def test_one_bad_file(self) -> None:
        """The others are read all the same."""
        bearer, key = self.file(KEY), self.file(KEY)
        settings = ServerSettings(bearer_file=(bearer,), token_key=(key,), allow=("10.0.0.0/8",))
        service: Any = RendezvousService(self.reactor, settings)
        keys = service._door.checks[2]._keys
        for path, content in ((bearer, "short"), (key, KEY[::-1])):
            Path(path).write_text(content)
        error = str(self.assertRaises(RdvError, service._door.reload))
        self.assertIn(f"{bearer}, line 1: ", error)
        self.assertNotEqual(service._door.checks[2]._keys, keys)

    def test_limits_on_and_off(self) -> None:
        """Whoever was counted stays so; nobody else is counted from before."""
        settings = ServerSettings(limits=False)
        rendezvous = make_rendezvous(self.reactor, settings)
        site = make_site(self.reactor, settings, rendezvous)
        uncounted = rendezvous.admission.admit("192.0.2.1")
        retune(rendezvous, site, ServerSettings(limit_connections=1))
        counted = rendezvous.admission.admit("192.0.2.1")
        self.assertRaises(RdvError, rendezvous.admission.admit, "192.0.2.1")
        retune(rendezvous, site, settings)
        rendezvous.admission.admit("192.0.2.1").end()
        for lease in (uncounted, counted):
            lease.end()
        retune(rendezvous, site, ServerSettings(limit_connections=1))
        rendezvous.admission.admit("192.0.2.1").end()

    def test_share_of_the_whole(self) -> None:
        """Pairs that share what all may have go on to share it."""
        settings = ServerSettings(relay_rate_total=800)
        rendezvous = make_rendezvous(self.reactor, settings, 4)
        site = make_site(self.reactor, settings, rendezvous)
        before = present(rendezvous.relaying._total)
        retune(rendezvous, site, replace(settings, relay_rate_total=400), 4)
        self.assertIs(rendezvous.relaying._total, before)
        self.assertEqual(before._rate, 100.0)
        self.assertEqual(
            relay_limits_of(settings, 4), replace(relay_limits_of(settings), total_rate=200)
        )
        retune(rendezvous, site, ServerSettings(), 4)
        self.assertIsNone(rendezvous.relaying._total)
        self.assertEqual(limits_of(ServerSettings()), Limits())
