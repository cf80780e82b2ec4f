"""
The verdict on a network, from observations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import parse_address, parse_ip
from rdv.check import Observations, texts, verdict
from rdv.check.observations import Cause, Dial, HalfClose
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
SIX, CARRIERS = parse_ip("2001:db8::7"), parse_ip("100.64.1.2")
BOTH = [parse_ip("192.0.2.7"), parse_ip("10.0.0.1")]
LIKELY, UNSURE = "likely with most peers.", "Cannot tell whether its mapping depends on the dest"
ENDED = {"dialer": HalfClose.PASSED, "acceptor": HalfClose.PASSED}
CUT_OFF = {**ENDED, "acceptor": HalfClose.BOTH}
NOT_BY_IPV6 = {**DUAL, "dials": [DUAL["dials"][0], Dial(SERVER, None)]}
NOT_PUBLIC = {**DUAL, "own": [parse_ip("fd00::1")]}
NOT_TOLD = by_two_ports(None, f"{ROUTER}:5")
UNSENT = replace(SOUND, problems=("x",), incomplete=True)
PROXY = "http://192.0.2.3:3128"
DEAD = Dial(SERVER, None)
NAMED, BYPASS = {"other_ports": (8081,)}, {"without_proxy": [Dial(SERVER, 0.1)]}
WORKS = "Over IPv6, which works here"

#: Verdicts on servers that can be used: the key, a part of the text, the keys of the advice, and
#: observations, each of which leads to it.
USABLE: tuple[tuple[str, str, str, list[Observations]], ...] = (
    ("no-server", "give the URL", "give-url", [behind("127.0.0.1:=", url=None, dials=HERE)]),
    (
        "same-host",
        "on this host",
        "",
        [
            behind("127.0.0.1:=", dials=HERE),
            behind(f"{HOST}:=", dials=[Dial(parse_address(f"{HOST}:8080"), 0.001)]),
        ],
    ),
    # The server names a port that cannot be reached.
    ("same-host", "on this host", "allow-ports", [behind("127.0.0.1:=", dials=HERE, **FILTERED)]),
    (
        "no-nat",
        "likely with most peers. Cannot tell from inside",
        "",
        [
            public(),
            public(half_close=ENDED),
            public(f"[{SIX}]:=", own=[SIX], source=SIX),
            public(tls=replace(SOUND, days=7)),
        ],
    ),
    ("no-nat", "likely", "half-close", [public(half_close=CUT_OFF)]),
    ("no-nat", "likely", "renew", [public(tls=replace(SOUND, days=6))]),
    (
        "same-network",
        "peers there connect directly.",
        "",
        [
            behind(f"{HOST}:=", dials=LOCAL),
            behind(f"{HOST}:="),
            public("192.0.2.7:=", "10.0.0.1:=", own=BOTH),
        ],
    ),
    ("inside-nat", "a NAT or a proxy", "", [behind("192.168.7.7:=", dials=LOCAL)]),
    (
        "hidden",
        "peers on other networks use the relay.",
        "tell-server",
        [
            behind(None, None),
            behind(f"{ROUTER}:=", None),
            behind("127.0.0.1:5", dials=HERE),  # a proxy on this host
            behind(f"{ROUTER}:5", dials=HERE),  # a tunnel
            behind("127.0.0.1:5000"),  # a proxy on the server's host
            behind("127.0.0.1:5000", dials=LOCAL),
            behind("127.0.0.1:5", "192.168.7.7:=", dials=LOCAL),
            behind("127.0.0.1:5", f"{ROUTER}:="),
            behind("10.0.0.1:5000"),  # a proxy in its network
            behind("10.0.0.1:5", f"{ROUTER}:="),
        ],
    ),
    (
        "proxied",
        "works through the proxy, but cannot see this host's address. This host has no public",
        "",
        [
            behind(proxy=PROXY),
            behind("127.0.0.1:5", proxy=PROXY, dials=HERE, **NAMED),
            behind(None, proxy=PROXY, without_proxy=[DEAD]),
        ],
    ),
    ("proxied", "go to 192.0.2.7.", "without-proxy", [public(proxy=PROXY, **BYPASS)]),
    ("proxied", "through", "half-close", [behind(proxy=PROXY, half_close=CUT_OFF)]),
    ("hidden", "go to 192.0.2.7.", "tell-server", [public("127.0.0.1:5000")]),
    ("perhaps-hidden", "go to 192.0.2.7.", "tell-server", [public(f"{ROUTER}:5000")]),
    (
        "perhaps-hidden",
        "probably",
        "tell-server",
        [
            behind("198.51.100.1:5000"),  # the server's own address
            behind("198.51.100.1:5", f"{ROUTER}:="),
            public("192.0.2.7:=", "192.0.2.8:="),  # one of two is ours
        ],
    ),
    (
        "nat-keeps-ports",
        "likely with most peers. Cannot tell whether",
        "ipv6 second-port",
        [behind(), behind(own=[CARRIERS], source=CARRIERS)],
    ),
    ("nat-keeps-ports", LIKELY, "ipv6", [behind(**SAME), behind(**SAME, **NOT_PUBLIC)]),
    (
        "nat-keeps-ports",
        LIKELY,
        "peers-ipv6",
        [behind(**SAME, own=DUAL["own"]), behind(**SAME, **NOT_BY_IPV6)],
    ),
    (
        "nat-mostly-keeps-ports",
        UNSURE,
        "ipv6 forward second-port",
        [behind(f"{ROUTER}:=", f"{ROUTER}:5")],
    ),
    (
        "nat-sequential",
        "next ports: direct connections are likely with most peers.",
        "ipv6 second-port",
        [behind(*COUNTED), behind(f"{ROUTER}:20000", f"{ROUTER}:20004")],
    ),
    ("nat-sequential", "likely with most peers.", "ipv6", [behind(*COUNTED, **DIFFERENT)]),
    (
        "nat-sequential",
        "the next 4 ports, but others",
        "ipv6 second-port",
        [behind(f"{ROUTER}:20000", f"{ROUTER}:20005", f"{ROUTER}:20031")],
    ),
    ("nat-changes-ports", UNSURE, "ipv6 forward second-port", [behind(*RANDOM)]),
    ("nat-changes-ports", UNSURE, "ipv6 forward", [behind(*RANDOM, **NOT_TOLD)]),
    (
        "nat-random",
        "All others use the relay.",
        "ipv6 forward",
        [behind(**DIFFERENT), behind(*RANDOM, **DIFFERENT)],
    ),
    ("nat-random", WORKS, "peers-ipv6 forward", [behind(*RANDOM, **DIFFERENT, **DUAL)]),
    ("nat-same-mapping", LIKELY, "ipv6", [behind(*RANDOM, **SAME)]),
    ("nat", UNSURE, "ipv6 forward second-port", [behind(f"{ROUTER}:5")]),
    ("perhaps-filtered", "If not: This host is", "allow-ports ipv6", [behind(**FILTERED)]),
    ("perhaps-filtered", "If not: Nothing changes", "allow-ports", [public(**FILTERED)]),
)


def unmet(what: Cause, status: int | None = None) -> Observations:
    """Nobody could be connected."""
    return behind(relayed=[failed(what, status)], direct=[])


def behind_proxy(**observed: Any) -> Observations:
    """The same, through a proxy."""
    return behind(**{"proxy": PROXY, "relayed": [], "direct": [], **observed})


#: Observations, the key of the verdict, and the keys of the advice.
UNUSABLE: tuple[tuple[Observations, str, str], ...] = (
    (Observations("http://x/"), "no-time", "more-time"),
    (behind(relayed=[CUT], direct=[]), "no-time", "more-time"),
    (Observations("http://x/", lookup_problem="there is none"), "no-name", "check-name"),
    (behind(dials=[Dial(SERVER, None)], relayed=[], direct=[]), "unreachable", "check-server"),
    (unmet(Cause.UNREACHABLE), "no-answer", "check-url"),
    (replace(unmet(Cause.UNREACHABLE), tls=replace(SOUND, failure="x")), "no-tls", "check-scheme"),
    (behind(tls=replace(SOUND, problems=("x",)), relayed=[], direct=[]), "no-tls", "trust"),
    (behind(tls=UNSENT, relayed=[], direct=[]), "no-tls", "whole-chain"),
    (unmet(Cause.NOT_RDV), "not-rdv", "check-url"),
    (unmet(Cause.NEVER_MET), "never-met", "affinity"),
    (unmet(Cause.NO_PATH), "no-path", "pass-upgrade"),
    (unmet(Cause.NO_RELAY), "no-relay", "try-direct"),
    (behind_proxy(lookup_problem="there is none"), "no-name", "check-proxy"),
    (behind_proxy(dials=[Dial(SERVER, None)]), "unreachable", "check-proxy"),
    (
        behind_proxy(dials=[Dial(SERVER, None)], **BYPASS),
        "unreachable",
        "check-proxy without-proxy",
    ),
    (behind_proxy(relayed=[failed(Cause.UNREACHABLE)]), "no-answer", "check-server"),
    (behind_proxy(relayed=[failed(Cause.PROXY, 407)]), "behind-proxy", "proxy-credentials"),
    (behind_proxy(relayed=[failed(Cause.PROXY, 403)]), "behind-proxy", "ask-proxy"),
    (behind_proxy(relayed=[failed(Cause.REFUSED, 404)]), "refused", "check-path"),
    *(
        (unmet(Cause.REFUSED, status), "refused", advice)
        for advice, statuses in {
            "check-url": (200, 300, 399),
            "check-path": (404,),
            "credentials": (401, 403, 407),
            "pass-upgrade": (400, 405, 426, 501),
            "try-later": (408, 503, 504),
            "too-many": (429,),
            "ask-operator": (500, 502),
        }.items()
        for status in statuses
    ),
)


class VerdictTests(SynchronousTestCase):
    """:func:`verdict`."""

    def test_usable(self) -> None:
        """Peers can be served. What is not known to work is not said to."""
        for key, text, advice, cases in USABLE:
            for observed in cases:
                concluded = verdict(observed)
                self.assertEqual((concluded.key, concluded.usable), (key, True), observed)
                self.assertIn(text, concluded.text)
                self.assertEqual(WORKS in concluded.text, text == WORKS)
                self.assertEqual(" ".join(each.key for each in concluded.advice), advice, observed)

    def test_unusable(self) -> None:
        """They cannot."""
        for observed, key, advice in UNUSABLE:
            concluded = verdict(observed)
            self.assertEqual((concluded.key, concluded.usable), (key, False))
            self.assertRegex(concluded.text, "^The server c(annot|ould not) be ")
            self.assertEqual(" ".join(each.key for each in concluded.advice), advice, key)
        self.assertIn("with 404.", verdict(unmet(Cause.REFUSED, 404)).text)

    def test_every_text(self) -> None:
        """It is a sentence, and there is a case above for each advice."""
        usable = [observed for *_, cases in USABLE for observed in cases]
        concluded = [verdict(observed) for observed in (*usable, *(each[0] for each in UNUSABLE))]
        advice = [each for verdict in concluded for each in verdict.advice]
        for text in [each.text for each in concluded] + [each.text for each in advice]:
            self.assertRegex(text, r"^[A-Za-z][^{}]*\.$")
            self.assertNotIn("  ", text)
        self.assertEqual({each.key for each in advice}, set(map(texts.key_of, texts._ADVICE)))
