"""
What kind of network it is, by what was observed.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import parse_address, parse_ip
from rdv.check import Observations, verdict
from rdv.check.observations import Dial, HalfClose, What
from rdv.test.check.doubles import (
    COUNTED,
    CUT,
    DIFFERENT,
    DUAL,
    FILTERED,
    RANDOM,
    ROUTER,
    SAME,
    SERVER,
    SOUND,
    behind,
    by_two_ports,
    failed,
    public,
)

LOCAL = parse_address("192.168.1.9:8080")
HERE = parse_address("127.0.0.1:8080")
SIX = "2001:db8::7"
#: Each is what was observed, the key of the verdict, a piece of its text, the keys of the advice.
USABLE: dict[str, tuple[Observations, str, str, list[str]]] = {
    "no URL": (
        behind("127.0.0.1:=", url=None, dials=[Dial(HERE, 0.001)]),
        "no-server",
        "cannot be told",
        ["give-url"],
    ),
    "a server on loopback": (
        behind("127.0.0.1:=", dials=[Dial(HERE, 0.001)]),
        "same-host",
        "nothing can be told",
        [],
    ),
    "a server at our own address": (
        behind("192.168.1.2:=", dials=[Dial(parse_address("192.168.1.2:8080"), 0.001)]),
        "same-host",
        "on this host",
        [],
    ),
    "a proxy on this host": (
        behind("127.0.0.1:5", dials=[Dial(HERE, 0.001)]),
        "hidden",
        "cannot see",
        ["tell-server"],
    ),
    "public": (public(), "no-nat", "likely with most peers", []),
    "half-close": (
        public(half_close={"dialer": HalfClose.PASSED, "acceptor": HalfClose.PASSED}),
        "no-nat",
        "likely with most peers",
        [],
    ),
    "no half-close": (
        public(half_close={"dialer": HalfClose.PASSED, "acceptor": HalfClose.BOTH}),
        "no-nat",
        "likely with most peers",
        ["half-close"],
    ),
    "IPv6 only": (
        public(f"[{SIX}]:=", own=[parse_ip(SIX)], source=parse_ip(SIX)),
        "no-nat",
        "cannot be told from inside",
        [],
    ),
    "a server in the LAN": (
        behind("192.168.1.2:=", dials=[Dial(LOCAL, 0.001)]),
        "same-network",
        "are met directly",
        [],
    ),
    "a server reached without NAT from a private address": (
        behind("192.168.1.2:="),
        "same-network",
        "cannot be told",
        [],
    ),
    "a NAT within": (
        behind("192.168.7.7:=", dials=[Dial(LOCAL, 0.001)]),
        "inside-nat",
        "a NAT or a proxy",
        [],
    ),
    "no observed address": (behind(None, None), "hidden", "the relay only", ["tell-server"]),
    "one observed, one not": (
        behind(f"{ROUTER}:=", None),
        "hidden",
        "cannot see",
        ["tell-server"],
    ),
    "a proxy on the server's host": (
        behind("127.0.0.1:5000"),
        "hidden",
        "the relay only",
        ["tell-server"],
    ),
    "a proxy in the server's network": (
        behind("10.0.0.1:5000"),
        "hidden",
        "the relay only",
        ["tell-server"],
    ),
    "a proxy on the host of a server in the LAN": (
        behind("127.0.0.1:5000", dials=[Dial(LOCAL, 0.001)]),
        "hidden",
        "cannot see",
        ["tell-server"],
    ),
    "a proxy, but we are public": (
        public("127.0.0.1:5000"),
        "hidden",
        "(192.0.2.7): direct connections go there",
        ["tell-server"],
    ),
    "the server's own address": (
        behind("198.51.100.1:5000"),
        "perhaps-hidden",
        "Probably",
        ["tell-server"],
    ),
    "another public address than ours": (
        public(f"{ROUTER}:5000"),
        "perhaps-hidden",
        "(192.0.2.7)",
        ["tell-server"],
    ),
    "keeps ports": (
        behind(),
        "nat-keeps-ports",
        "likely with most peers. Whether it maps a port alike",
        ["ipv6", "second-port"],
    ),
    "keeps ports for two destinations": (
        behind(**SAME),
        "nat-keeps-ports",
        "likely with most peers.",
        ["ipv6"],
    ),
    "keeps ports, a carrier's": (
        behind(own=[parse_ip("100.64.1.2")], source=parse_ip("100.64.1.2")),
        "nat-keeps-ports",
        "behind a NAT",
        ["ipv6", "second-port"],
    ),
    "keeps ports only for the first destination": (
        behind(**DIFFERENT),
        "nat-random",
        "another port for each destination",
        ["ipv6", "forward"],
    ),
    "keeps some ports": (
        behind(f"{ROUTER}:=", f"{ROUTER}:5"),
        "nat-mostly-keeps-ports",
        "keeps some ports",
        ["ipv6", "forward", "second-port"],
    ),
    "counts": (
        behind(*COUNTED),
        "nat-sequential",
        "likely with most",
        ["ipv6", "second-port"],
    ),
    "counts by as much as is guessed": (
        behind(f"{ROUTER}:20000", f"{ROUTER}:20004"),
        "nat-sequential",
        "likely with most",
        ["ipv6", "second-port"],
    ),
    "one of two is ours": (
        public("192.0.2.7:=", "192.0.2.8:="),
        "perhaps-hidden",
        "Probably",
        ["tell-server"],
    ),
    "one of two is loopback": (
        behind("127.0.0.1:5", f"{ROUTER}:="),
        "hidden",
        "cannot see",
        ["tell-server"],
    ),
    "one of two is private": (
        behind("10.0.0.1:5", f"{ROUTER}:="),
        "hidden",
        "cannot see",
        ["tell-server"],
    ),
    "one of two is the server's": (
        behind("198.51.100.1:5", f"{ROUTER}:="),
        "perhaps-hidden",
        "Probably",
        ["tell-server"],
    ),
    "public and private, no NAT": (
        public("192.0.2.7:=", "10.0.0.1:=", own=[parse_ip("192.0.2.7"), parse_ip("10.0.0.1")]),
        "same-network",
        "cannot be told",
        [],
    ),
    "counts, for each destination": (
        behind(*COUNTED, **DIFFERENT),
        "nat-sequential",
        "likely with most",
        ["ipv6"],
    ),
    "counts, but others use it": (
        behind(f"{ROUTER}:20000", f"{ROUTER}:20005", f"{ROUTER}:20031"),
        "nat-sequential",
        "takes luck",
        ["ipv6", "second-port"],
    ),
    "random": (
        behind(*RANDOM),
        "nat-changes-ports",
        "If it takes another one for each destination",
        ["ipv6", "forward", "second-port"],
    ),
    "random for each destination": (
        behind(*RANDOM, **DIFFERENT),
        "nat-random",
        "The relay is for others.",
        ["ipv6", "forward"],
    ),
    "random, but the same for two destinations": (
        behind(*RANDOM, **SAME),
        "nat-same-mapping",
        "likely with most peers",
        ["ipv6"],
    ),
    "random, and the second port said nothing": (
        behind(*RANDOM, **by_two_ports(None, f"{ROUTER}:5")),
        "nat-changes-ports",
        "cannot be told",
        ["ipv6", "forward"],
    ),
    "random, and IPv6": (
        behind(*RANDOM, **DIFFERENT, **DUAL),
        "nat-random",
        "Over IPv6, which works here",
        ["peers-ipv6", "forward"],
    ),
    "an IPv6 address that was not used": (
        behind(**SAME, own=DUAL["own"]),
        "nat-keeps-ports",
        "likely with most peers.",
        ["peers-ipv6"],
    ),
    "one connection of another port": (
        behind(f"{ROUTER}:5"),
        "nat",
        "nothing more is known",
        ["ipv6", "forward", "second-port"],
    ),
    "a filter and a NAT": (
        behind(**FILTERED),
        "perhaps-filtered",
        "If not: This host is behind a NAT that keeps ports",
        ["allow-ports", "ipv6"],
    ),
    "a filter": (
        public(**FILTERED),
        "perhaps-filtered",
        "If not: Nothing changes this host's address",
        ["allow-ports"],
    ),
    "a certificate at its end": (
        public(tls=replace(SOUND, days=3)),
        "no-nat",
        "likely",
        ["renew"],
    ),
}
UNUSABLE: dict[str, tuple[Observations, str, list[str]]] = {
    "nothing": (Observations("http://x/"), "no-time", ["more-time"]),
    "a meeting that was cut": (behind(relayed=[CUT], direct=[]), "no-time", ["more-time"]),
    "no name": (
        Observations("http://x/", lookup_problem="the name does not resolve"),
        "no-name",
        ["check-name"],
    ),
    "no connection": (
        behind(dials=[Dial(SERVER, None, "connection refused")], relayed=[], direct=[]),
        "unreachable",
        ["check-server"],
    ),
    "no answer": (
        behind(relayed=[failed(What.UNREACHABLE)], direct=[]),
        "no-answer",
        ["check-url"],
    ),
    "no TLS": (
        behind(tls=replace(SOUND, failure="x"), relayed=[failed(What.UNREACHABLE)], direct=[]),
        "no-tls",
        ["check-scheme"],
    ),
    "no trust": (
        behind(tls=replace(SOUND, problems=("x",)), relayed=[], direct=[]),
        "no-tls",
        ["trust"],
    ),
    "not rdv": (behind(relayed=[failed(What.NOT_RDV)], direct=[]), "not-rdv", ["check-url"]),
    "no meeting": (behind(relayed=[failed(What.NEVER_MET)], direct=[]), "never-met", ["affinity"]),
    "no path": (behind(relayed=[failed(What.NO_PATH)], direct=[]), "no-path", ["pass-upgrade"]),
}
STATUSES = {
    200: "check-url",
    301: "check-url",
    400: "pass-upgrade",
    401: "credentials",
    403: "credentials",
    404: "check-path",
    405: "pass-upgrade",
    408: "try-later",
    426: "pass-upgrade",
    429: "try-later",
    500: "ask-operator",
    501: "pass-upgrade",
    503: "try-later",
}


class VerdictTests(SynchronousTestCase):
    """:func:`verdict`."""

    def test_ipv6_works(self) -> None:
        """If there is an address of that kind, and the server was reached by it."""
        claim = "Over IPv6, which works here"
        six = [parse_ip("2001:db8::1")]
        dead = [DUAL["dials"][0], replace(DUAL["dials"][1], seconds=None)]
        private = [parse_ip("fd00::1")]
        self.assertIn(claim, verdict(behind(**DUAL)).text)
        self.assertNotIn(claim, verdict(behind(own=six)).text)
        self.assertNotIn(claim, verdict(behind(own=six, dials=dead)).text)
        self.assertNotIn(claim, verdict(behind(**{**DUAL, "own": private})).text)

    def test_boundaries(self) -> None:
        """A status, and a certificate's last days."""
        odd = verdict(behind(relayed=[failed(What.REFUSED, 300)], direct=[]))
        self.assertEqual([each.key for each in odd.advice], ["check-url"])
        week = verdict(public(tls=replace(SOUND, days=7)))
        self.assertEqual(week.advice, ())

    def test_usable(self) -> None:
        """Peers can be served."""
        for name, (observed, key, text, advice) in USABLE.items():
            concluded = verdict(observed)
            self.assertEqual(concluded.key, key, name)
            self.assertTrue(concluded.usable, name)
            self.assertIn(text, concluded.text, name)
            self.assertEqual([each.key for each in concluded.advice], advice, name)

    def test_unusable(self) -> None:
        """They cannot."""
        for name, (observed, key, advice) in UNUSABLE.items():
            concluded = verdict(observed)
            self.assertEqual(concluded.key, key, name)
            self.assertFalse(concluded.usable, name)
            self.assertTrue(concluded.text.startswith("The server c"), name)
            self.assertEqual([each.key for each in concluded.advice], advice, name)

    def test_statuses(self) -> None:
        """What can be done depends on the status."""
        for status, key in STATUSES.items():
            concluded = verdict(behind(relayed=[failed(What.REFUSED, status)], direct=[]))
            self.assertEqual((concluded.key, concluded.usable), ("refused", False))
            self.assertIn(str(status), concluded.text)
            self.assertEqual([each.key for each in concluded.advice], [key], status)

    def test_nothing_unsaid(self) -> None:
        """Every text ends."""
        cases = [*(each[0] for each in USABLE.values()), *(each[0] for each in UNUSABLE.values())]
        for observed in cases:
            concluded = verdict(observed)
            for text in (concluded.text, *(each.text for each in concluded.advice)):
                self.assertRegex(text, r"^[A-Za-z].*\.$")
                self.assertNotIn("  ", text)
