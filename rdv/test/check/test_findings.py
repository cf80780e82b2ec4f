"""
What ``rdv check`` concludes from each observation, and what it does not.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import parse_address, parse_ip
from rdv.check import Observations, findings, texts
from rdv.check.observations import STRAY_SYN, Cause, Dial, HalfClose, StrayAnswer, Throughput, Tls
from rdv.check.texts import MARKS
from rdv.test.check.doubles import (
    COUNTED,
    CUT,
    DIFFERENT,
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
    met,
    public,
    stray,
)

HERE = [Dial(parse_address("127.0.0.1:8080"), 0.1)]
LOCAL = [Dial(parse_address("192.168.1.9:8080"), 0.1)]
SIX = Dial(parse_address("[2001:db8::1]:1"), 1.5)
DEAD = replace(SIX, seconds=None, problem="no answer in time")
EXPIRED = replace(SOUND, days=-3, problems=("it has expired",))
NO_TLS = Tls(failure="wrong version number")
PASSED, BOTH, NOTHING = HalfClose.PASSED, HalfClose.BOTH, HalfClose.NOTHING
MANY = [parse_ip(each) for each in ("2001:db8::7", "192.168.1.2", "10.0.0.1", "fe80::1")]
MEDIAN = [met(f"{ROUTER}:5", seconds=seconds) for seconds in (9.0, 0.012, 0.02)]
DIRECT = [met(is_relay=False, seconds=seconds) for seconds in (0.001, 2.0, 1.0)]
TWICE = [met(), failed(Cause.UNREACHABLE)]

#: Observations, the mark and the key of the finding, and a part of its text.
FOUND = (
    # The path to the server, and its answers.
    (behind(url=None), " no-server", "its own server"),
    (Observations(lookup_problem="no such name"), "-server-lookup", ": no such name."),
    (behind(), "+server-reached", "at 198.51.100.1:8080 over IPv4, in 20 ms."),
    (behind(dials=[SIX]), "+server-reached", "over IPv6, in 1.5 s."),
    (behind(proxy="http://p:1"), " proxy", "proxy http://p:1."),
    (behind(proxy="http://p:1"), "+server-reached", "Connected to the proxy at 198.51.100.1:8080"),
    (behind(proxy="http://p:1"), " proxied", "sees the proxy"),
    (behind(proxy="http://p:1"), " ports-untold", "This hides"),
    (behind(proxy="x", dials=[DEAD]), "-server-unreachable", "Cannot connect to the proxy at ["),
    (Observations(proxy="x", lookup_problem="no"), "-server-lookup", "The proxy's name"),
    (behind(proxy="x", without_proxy=[DEAD]), " without-proxy", "without the proxy: no answer in"),
    (behind(proxy="x", without_proxy=[DEAD, SIX]), "+without-proxy", "proxy, at [2001:db8::1]:1."),
    (behind(dials=[Dial(SERVER, 0.02), DEAD]), "-server-unreachable", "]:1: no answer in time."),
    *(
        (behind(relayed=[failed(what)], direct=[]), f"-server-{what}", ": so it was.")
        for what in Cause
    ),
    (public(tls=SOUND), " tls", "TLSv1.3, AES. The certificate is for server.test, issued by an"),
    (public(tls=EXPIRED), "-tls-untrusted", ": it has expired."),
    (public(tls=NO_TLS), "-tls-failed", ": wrong version number."),
    (public(tls=replace(SOUND, days=1)), " tls-expires", "in 1 day."),
    (public(tls=replace(SOUND, days=20)), " tls-expires", "in 20 days."),
    # This host, and how the server sees it.
    (
        behind(own=MANY),
        " own-addresses",
        "public IPv6 2001:db8::7; private IPv4 192.168.1.2, 10.0.0.1; link-local IPv6 fe80::1.",
    ),
    (behind(own=[]), "-own-addresses", "only has loopback"),
    (behind(), " no-ipv6", "no public IPv6"),
    (behind(own=[parse_ip("2001:db8::7")]), " no-ipv4", "only be reached through the relay"),
    (behind(own=[parse_ip("100.127.255.1")]), " carrier", "CGNAT"),
    (behind(own=[parse_ip("100.64.0.1"), *MANY]), " carrier", "CGNAT"),
    (public(), "+no-nat", "192.0.2.7"),
    (behind(), " nat", f"{ROUTER}, which is not an address of this host"),
    (behind(None), "-untold", "does not know"),
    (behind("127.0.0.1:5"), "-hidden", "127.0.0.1, which is not this host's"),
    (behind("198.51.100.1:5"), "-perhaps-hidden", "its own address"),
    (public(f"{ROUTER}:5"), "-perhaps-hidden", "connects from 192.0.2.7"),
    (behind("192.168.7.7:=", dials=LOCAL), " inside-nat", "within the network"),
    (behind("127.0.0.1:=", dials=HERE), " same-host", "on this host"),
    (behind("127.0.0.1:5", dials=HERE), "-hidden", "with other ports"),
    (behind(f"{HOST}:5", dials=HERE), "-hidden", "an address of this host"),
    (behind(f"{ROUTER}:5", dials=HERE), "-hidden", f"reached on this host, sees {ROUTER}"),
    (behind(f"{ROUTER}:=", dials=HERE), "-hidden", f"reached on this host, sees {ROUTER}"),
    (behind(f"{ROUTER}:=", "203.0.113.2:="), "-observed-several", "several"),
    # What a NAT does.
    (behind(), "+ports-kept", "(6 new ports tried)"),
    (behind(f"{ROUTER}:=", f"{ROUTER}:5", f"{ROUTER}:="), " ports-mostly-kept", "2 of 3 new"),
    (behind(f"{ROUTER}:=", f"{ROUTER}:5", f"{ROUTER}:9000"), "-ports-changed", "3 new ports"),
    (behind(*COUNTED), " ports-sequential", "6 new ports, each 1 above"),
    (behind(f"{ROUTER}:1", f"{ROUTER}:2", f"{ROUTER}:34"), " ports-sequential", "each 1 to 32 ab"),
    (behind(f"{ROUTER}:1", f"{ROUTER}:34"), "-ports-changed", "2 new ports"),
    (behind(f"{ROUTER}:2", f"{ROUTER}:1"), "-ports-changed", "no pattern"),
    (behind(*RANDOM), "-ports-changed", "6 new ports"),
    (behind(f"{ROUTER}:1"), " ports-unknown", "Cannot tell"),
    *(
        (behind(proxy), " ports-untold", "This hides")
        for proxy in (None, "127.0.0.1:5", "198.51.100.1:5")
    ),
    (behind(), " mapping-untold", "has no second port"),
    (behind(other_ports=(1,)), " mapping-untold", "no time"),
    (behind(**by_two_ports(None, "1.2.3.4:5")), " mapping-untold", "failed"),
    (behind(**SAME), "+mapping-same", "the same for two ports"),
    (behind(**DIFFERENT), "-mapping-differs", "address and port-dependent"),
    (behind(**FILTERED), "-second-port", "port, 8081:"),
    (public(**FILTERED), "-second-port", "port, 8081:"),
    (behind(**stray(StrayAnswer.CONNECTED)), "+hairpin", f"{ROUTER}:40000 comes back"),
    (behind(**stray(StrayAnswer.REFUSED, "by a box")), " stray-refused", "refused: by a box. SYNs"),
    (behind(**stray(StrayAnswer.SILENT)), " stray-silent", "dropped"),
    (behind(**stray(StrayAnswer.ELSEWHERE)), "-stray-elsewhere", "another host"),
    (public(), " stray-untold", "Cannot tell"),
    # Connections.
    (public(relayed=MEDIAN), "+relay", "in 20 ms (median of 3)."),
    (public(direct=DIRECT), "+direct", "in 1 s (median of 3), through 198.51.100.1:8080"),
    (public(direct=[met(is_relay=False), met()]), "-direct-none", "used the relay"),
    (public(relayed=TWICE), "-relay-failed", "One of 2 connections through the relay failed: so"),
    (public(direct=TWICE), "-direct-failed", "within this host failed: so it was."),
    (public(half_close={"dialer": PASSED}), "+half-close", "When one side"),
    (public(half_close={"dialer": PASSED, "acceptor": PASSED}), "+half-close", "When one side"),
    (public(half_close={"dialer": BOTH, "acceptor": BOTH}), "-half-close", "When one side"),
    (public(half_close={"dialer": NOTHING}), "-half-close", "When the dialer"),
    (public(half_close={"dialer": PASSED, "acceptor": BOTH}), "-half-close", "When the acceptor"),
    (public(throughput=Throughput(3_000_000, 1.5)), " throughput", "carries 2 MB/s"),
    (public(throughput=Throughput(3_000_000, 0.5)), " throughput", "(3 MB in 500 ms)"),
    (public(throughput=Throughput(64_000_000, 0.02)), " throughput", "carries 3200 MB/s"),
    (public(throughput=Throughput(3_000_000, 0.9996)), " throughput", "(3 MB in 1 s)"),
    (public(throughput=Throughput(5_000, 0.0)), " throughput", "The relay works"),
    (public(throughput=Throughput(0, 1.5)), "-throughput", "within 1.5 s"),
    (public(throughput=Throughput(5, 0.0, broken=True)), "-relay-broke", "broke"),
    (public(late=["TLS", "x"]), " late", ": TLS, x."),
)
#: Observations, and the keys of findings that they must not lead to.
LACKING = (
    (behind(relayed=[failed(Cause.NO_PATH)], direct=[]), "relay direct relay-failed"),
    (public(tls=SOUND), "tls-untrusted tls-expires tls-failed"),
    (public(tls=replace(SOUND, days=21)), "tls-expires"),
    (public(tls=EXPIRED), "tls-expires"),
    (public(tls=NO_TLS), "tls tls-expires"),
    (behind(own=MANY), "no-ipv6 no-ipv4 carrier"),
    (behind(own=[]), "no-ipv6 no-ipv4"),
    (behind(own=[parse_ip("100.128.0.1")]), "carrier"),
    (behind(f"{ROUTER}:=", dials=HERE), "same-host"),
    (behind(), "observed-several half-close proxy without-proxy proxied"),
    (behind(proxy="x", **SAME), "nat ports-kept mapping-same without-proxy"),
    (behind("198.51.100.1:5"), "ports-kept ports-changed ports-sequential mapping-untold"),
    (public(**DIFFERENT), "ports-kept ports-untold mapping-differs"),
    (behind(relayed=[CUT]), "mapping-untold relay-failed"),
    (Observations("http://x/"), "stray-untold"),
    (behind(late=[STRAY_SYN]), "stray-untold"),
    (public(direct=[met(is_relay=False), met()]), "direct"),
    (public(direct=[]), "direct direct-none"),
    (public(direct=[failed(Cause.NO_PATH)]), "direct direct-none"),
    (public(relayed=[met(), CUT]), "relay-failed"),
    (public(throughput=Throughput(3_000_000, 1.5)), "relay-broke"),
)


class FindingsTests(SynchronousTestCase):
    """:func:`findings`."""

    def test_found(self) -> None:
        """Once, with its weight and that piece of text."""
        for observed, marked, text in FOUND:
            found = [each for each in findings(observed) if each.key == marked[1:]]
            self.assertEqual([each.weight for each in found], [MARKS[marked[0]]], marked)
            self.assertIn(text, found[0].text)

    def test_lacking(self) -> None:
        for observed, lacking in LACKING:
            found = {each.key for each in findings(observed)}
            self.assertEqual(found & set(lacking.split()), set(), observed)

    def test_each_half_close(self) -> None:
        """If the two sides differ, both are told of."""
        found = findings(public(half_close={"dialer": BOTH, "acceptor": NOTHING}))
        self.assertEqual([each.key for each in found].count("half-close"), 2)

    def test_every_text(self) -> None:
        """It is a sentence, and there is a case above for each."""
        found = [each for observed, _, _ in FOUND for each in findings(observed)]
        for each in found:
            self.assertRegex(each.text, r"^[A-Z][^{}]*\.$")
            self.assertNotIn("  ", each.text)
        self.assertEqual({each.key for each in found}, set(map(texts.key_of, texts._FINDINGS)))
