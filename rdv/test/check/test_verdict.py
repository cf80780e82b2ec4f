"""
What kind of network it is, by what was observed.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import parse_address, parse_ip
from rdv.check import Observations, texts, verdict
from rdv.check.observations import Dial, HalfClose, What
from rdv.test.check.doubles import (
    COUNTED,
    CUT,
    DIFFERENT,
    DUAL,
    FILTERED,
    HOST,
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

LOCAL = [Dial(parse_address("192.168.1.9:8080"), 0.001)]
HERE = [Dial(parse_address("127.0.0.1:8080"), 0.001)]
OURS = [Dial(parse_address(f"{HOST}:8080"), 0.001)]
SIX = parse_ip("2001:db8::7")
CARRIERS = parse_ip("100.64.1.2")
BOTH = [parse_ip("192.0.2.7"), parse_ip("10.0.0.1")]
HALF = {"dialer": HalfClose.PASSED, "acceptor": HalfClose.PASSED}
RELAY, LIKELY, UNSURE = "get the relay.", "likely with most peers.", "depends on the destination."
NOT_TOLD = by_two_ports(None, f"{ROUTER}:5")

#: What was observed, the key of the verdict, a piece of its text, the keys of the advice.
USABLE: dict[str, tuple[Observations, str, str, str]] = {
    "no URL": (behind("127.0.0.1:=", url=None, dials=HERE), "no-server", "give the", "give-url"),
    "a server on loopback": (behind("127.0.0.1:=", dials=HERE), "same-host", "on this host", ""),
    "one that names a port": (
        behind("127.0.0.1:=", dials=HERE, **FILTERED),
        "same-host",
        "",
        "allow-ports",
    ),
    "a server at our own address": (behind(f"{HOST}:=", dials=OURS), "same-host", "judged.", ""),
    "a proxy on this host": (behind("127.0.0.1:5", dials=HERE), "hidden", RELAY, "tell-server"),
    "a tunnel": (behind(f"{ROUTER}:5", dials=HERE), "hidden", RELAY, "tell-server"),
    "public": (public(), "no-nat", "likely with most", ""),
    "half-close": (public(half_close=HALF), "no-nat", "likely with most", ""),
    "no half-close": (
        public(half_close={**HALF, "acceptor": HalfClose.BOTH}),
        "no-nat",
        "likely with most",
        "half-close",
    ),
    "IPv6 only": (public(f"[{SIX}]:=", own=[SIX], source=SIX), "no-nat", "firewall.", ""),
    "a server in the LAN": (behind(f"{HOST}:=", dials=LOCAL), "same-network", "directly.", ""),
    "a server that sees a private address": (behind(f"{HOST}:="), "same-network", "internet.", ""),
    "public and private, no NAT": (
        public("192.0.2.7:=", "10.0.0.1:=", own=BOTH),
        "same-network",
        "internet.",
        "",
    ),
    "a NAT within": (behind("192.168.7.7:=", dials=LOCAL), "inside-nat", "a NAT or a proxy", ""),
    "no observed address": (behind(None, None), "hidden", RELAY, "tell-server"),
    "one observed, one not": (behind(f"{ROUTER}:=", None), "hidden", RELAY, "tell-server"),
    "a proxy on the server's host": (behind("127.0.0.1:5000"), "hidden", RELAY, "tell-server"),
    "a proxy in its network": (behind("10.0.0.1:5000"), "hidden", RELAY, "tell-server"),
    "a proxy on the host of a server in the LAN": (
        behind("127.0.0.1:5000", dials=LOCAL),
        "hidden",
        RELAY,
        "tell-server",
    ),
    "a proxy, but we are public": (
        public("127.0.0.1:5000"),
        "hidden",
        "go to 192.0.2.7.",
        "tell-server",
    ),
    "the server's own address": (
        behind("198.51.100.1:5000"),
        "perhaps-hidden",
        "probably",
        "tell-server",
    ),
    "another public address than ours": (
        public(f"{ROUTER}:5000"),
        "perhaps-hidden",
        "go to 192.0.2.7.",
        "tell-server",
    ),
    "one of two is ours": (
        public("192.0.2.7:=", "192.0.2.8:="),
        "perhaps-hidden",
        "probably",
        "tell-server",
    ),
    "one of two is loopback": (
        behind("127.0.0.1:5", f"{ROUTER}:="),
        "hidden",
        RELAY,
        "tell-server",
    ),
    "one of two is loopback, for a server in the LAN": (
        behind("127.0.0.1:5", "192.168.7.7:=", dials=LOCAL),
        "hidden",
        RELAY,
        "tell-server",
    ),
    "one of two is private": (behind("10.0.0.1:5", f"{ROUTER}:="), "hidden", RELAY, "tell-server"),
    "one of two is the server's": (
        behind("198.51.100.1:5", f"{ROUTER}:="),
        "perhaps-hidden",
        "probably",
        "tell-server",
    ),
    "keeps ports": (behind(), "nat-keeps-ports", UNSURE, "ipv6 second-port"),
    "keeps ports, a carrier's": (
        behind(own=[CARRIERS], source=CARRIERS),
        "nat-keeps-ports",
        UNSURE,
        "ipv6 second-port",
    ),
    "keeps ports for two destinations": (behind(**SAME), "nat-keeps-ports", LIKELY, "ipv6"),
    "keeps ports only for the first destination": (
        behind(**DIFFERENT),
        "nat-random",
        "is for the others.",
        "ipv6 forward",
    ),
    "keeps some ports": (
        behind(f"{ROUTER}:=", f"{ROUTER}:5"),
        "nat-mostly-keeps-ports",
        UNSURE,
        "ipv6 forward second-port",
    ),
    "counts": (behind(*COUNTED), "nat-sequential", "likely with most.", "ipv6 second-port"),
    "counts, for each destination": (
        behind(*COUNTED, **DIFFERENT),
        "nat-sequential",
        "likely with most.",
        "ipv6",
    ),
    "counts by as much as is guessed": (
        behind(f"{ROUTER}:20000", f"{ROUTER}:20004"),
        "nat-sequential",
        "likely with most.",
        "ipv6 second-port",
    ),
    "counts, but others use it": (
        behind(f"{ROUTER}:20000", f"{ROUTER}:20005", f"{ROUTER}:20031"),
        "nat-sequential",
        "the next 4, but",
        "ipv6 second-port",
    ),
    "random": (behind(*RANDOM), "nat-changes-ports", UNSURE, "ipv6 forward second-port"),
    "random for each destination": (
        behind(*RANDOM, **DIFFERENT),
        "nat-random",
        "is for the others.",
        "ipv6 forward",
    ),
    "random, but the same for two destinations": (
        behind(*RANDOM, **SAME),
        "nat-same-mapping",
        LIKELY,
        "ipv6",
    ),
    "random, and the second port said nothing": (
        behind(*RANDOM, **NOT_TOLD),
        "nat-changes-ports",
        UNSURE,
        "ipv6 forward",
    ),
    "random, and IPv6": (
        behind(*RANDOM, **DIFFERENT, **DUAL),
        "nat-random",
        "Over IPv6, which works here",
        "peers-ipv6 forward",
    ),
    "an IPv6 address that was not used": (
        behind(**SAME, own=DUAL["own"]),
        "nat-keeps-ports",
        LIKELY,
        "peers-ipv6",
    ),
    "an IPv6 address by which the server is not reached": (
        behind(**SAME, **{**DUAL, "dials": [DUAL["dials"][0], Dial(SERVER, None)]}),
        "nat-keeps-ports",
        LIKELY,
        "peers-ipv6",
    ),
    "a private IPv6 address": (
        behind(**SAME, **{**DUAL, "own": [parse_ip("fd00::1")]}),
        "nat-keeps-ports",
        LIKELY,
        "ipv6",
    ),
    "one connection of another port": (
        behind(f"{ROUTER}:5"),
        "nat",
        UNSURE,
        "ipv6 forward second-port",
    ),
    "a filter and a NAT": (
        behind(**FILTERED),
        "perhaps-filtered",
        "If not: This host is behind a NAT that preserves ports",
        "allow-ports ipv6",
    ),
    "a filter": (
        public(**FILTERED),
        "perhaps-filtered",
        "If not: Nothing changes this host's address",
        "allow-ports",
    ),
    "a certificate at its end": (public(tls=replace(SOUND, days=6)), "no-nat", "", "renew"),
    "a certificate for a week": (public(tls=replace(SOUND, days=7)), "no-nat", "", ""),
}


def unmet(what: What, status: int | None = None) -> Observations:
    """Nobody could be connected."""
    return behind(relayed=[failed(what, status)], direct=[])


#: What was observed, the key of the verdict, and that of the advice.
UNUSABLE: tuple[tuple[Observations, str, str], ...] = (
    (Observations("http://x/"), "no-time", "more-time"),
    (behind(relayed=[CUT], direct=[]), "no-time", "more-time"),
    (Observations("http://x/", lookup_problem="there is none"), "no-name", "check-name"),
    (behind(dials=[Dial(SERVER, None)], relayed=[], direct=[]), "unreachable", "check-server"),
    (unmet(What.UNREACHABLE), "no-answer", "check-url"),
    (replace(unmet(What.UNREACHABLE), tls=replace(SOUND, failure="x")), "no-tls", "check-scheme"),
    (behind(tls=replace(SOUND, problems=("x",)), relayed=[], direct=[]), "no-tls", "trust"),
    (unmet(What.NOT_RDV), "not-rdv", "check-url"),
    (unmet(What.NEVER_MET), "never-met", "affinity"),
    (unmet(What.NO_PATH), "no-path", "pass-upgrade"),
    *((unmet(What.REFUSED, status), "refused", "check-url") for status in (200, 300, 399)),
    *((unmet(What.REFUSED, status), "refused", "pass-upgrade") for status in (400, 405, 426, 501)),
    *((unmet(What.REFUSED, status), "refused", "credentials") for status in (401, 403, 407)),
    (unmet(What.REFUSED, 404), "refused", "check-path"),
    *((unmet(What.REFUSED, status), "refused", "try-later") for status in (408, 429, 503, 504)),
    (unmet(What.REFUSED, 500), "refused", "ask-operator"),
)


class VerdictTests(SynchronousTestCase):
    """:func:`verdict`."""

    def test_usable(self) -> None:
        """Peers can be served."""
        for name, (observed, key, text, advice) in USABLE.items():
            concluded = verdict(observed)
            self.assertEqual((concluded.key, concluded.usable), (key, True), name)
            self.assertIn(text, concluded.text, name)
            self.assertEqual(" ".join(each.key for each in concluded.advice), advice, name)

    def test_unusable(self) -> None:
        """They cannot."""
        for observed, key, advice in UNUSABLE:
            concluded = verdict(observed)
            self.assertEqual((concluded.key, concluded.usable), (key, False))
            self.assertRegex(concluded.text, "^The server c(annot|ould not) be ")
            self.assertEqual([each.key for each in concluded.advice], [advice], key)

    def test_status(self) -> None:
        self.assertIn("with 404.", verdict(unmet(What.REFUSED, 404)).text)

    def test_ipv6(self) -> None:
        """What is not known to work is not said to."""
        for name, (observed, *_) in USABLE.items():
            works = name == "random, and IPv6"
            self.assertEqual("Over IPv6" in verdict(observed).text, works, name)

    def test_every_text(self) -> None:
        """It is a sentence, and there is a case above for each key."""
        cases = [*(each[0] for each in USABLE.values()), *(each[0] for each in UNUSABLE)]
        concluded = [verdict(observed) for observed in cases]
        advice = [each for verdict in concluded for each in verdict.advice]
        for text in [each.text for each in concluded] + [each.text for each in advice]:
            self.assertRegex(text, r"^[A-Za-z][^{}]*\.$")
            self.assertNotIn("  ", text)
        self.assertEqual({each.key for each in advice}, set(map(texts.key_of, texts._ADVICE)))
