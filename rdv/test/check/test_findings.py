"""
What ``rdv check`` says of each observation, and what it does not say.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import parse_address, parse_ip
from rdv.check import Observations, findings
from rdv.check.finding import Weight
from rdv.check.observations import STRAY_SYN, Dial, HalfClose, StrayAnswer, Throughput, Tls, What
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

HERE = parse_address("127.0.0.1:8080")


class FindingsTestCase(SynchronousTestCase):
    """Cases with a name, observations, and what must be found."""

    def check(self, observed: Observations, key: str, weight: Weight, text: str) -> None:
        """There is that finding, once, with that piece of text."""
        found = [each for each in findings(observed) if each.key == key]
        self.assertEqual(len(found), 1, [each.key for each in findings(observed)])
        self.assertEqual(found[0].weight, weight, found[0])
        self.assertIn(text, found[0].text)

    def lacks(self, observed: Observations, *keys: str) -> None:
        """None of those is found."""
        self.assertEqual([e.key for e in findings(observed) if e.key in keys], [])

    def good(self, observed: Observations, key: str, text: str) -> None:
        self.check(observed, key, Weight.GOOD, text)

    def note(self, observed: Observations, key: str, text: str) -> None:
        self.check(observed, key, Weight.NOTE, text)

    def bad(self, observed: Observations, key: str, text: str) -> None:
        self.check(observed, key, Weight.BAD, text)


class ServerTests(FindingsTestCase):
    """The way to the server, and its answers."""

    def test_reached(self) -> None:
        self.good(behind(), "server-reached", "at 198.51.100.1:8080 over IPv4, in 20 ms.")
        six = [Dial(parse_address("[2001:db8::1]:1"), 1.5)]
        self.good(behind(dials=six), "server-reached", "over IPv6, in 1.5 s.")

    def test_one_address_of_two(self) -> None:
        dead = Dial(parse_address("[2001:db8::1]:1"), None, "no answer in time")
        observed = behind(dials=[Dial(SERVER, 0.02), dead])
        self.good(observed, "server-reached", "198.51.100.1")
        self.bad(observed, "server-unreachable", "[2001:db8::1]:1: no answer in time.")

    def test_lookup(self) -> None:
        observed = Observations("http://x/", lookup_problem="the name does not resolve")
        self.bad(observed, "server-lookup", "does not resolve")

    def test_failures(self) -> None:
        for what, text in (
            (What.UNREACHABLE, "not answered"),
            (What.REFUSED, "refused"),
            (What.NOT_RDV, "none of rdv/1"),
            (What.NEVER_MET, "did not answer our two roles"),
            (What.NO_PATH, "not even its relay"),
        ):
            observed = behind(relayed=[failed(what)], direct=[])
            self.bad(observed, f"server-{what}", f"{text}")
            self.bad(observed, f"server-{what}", ": so it was.")
            self.lacks(observed, "relay", "direct")

    def test_own_server(self) -> None:
        self.note(behind(url=None), "no-server", "of our own")

    def test_time(self) -> None:
        self.note(public(late=["TLS", "x"]), "late", "not observed: TLS, x.")


class TLSTests(FindingsTestCase):
    """Certificates."""

    def test_sound(self) -> None:
        observed = public(tls=SOUND)
        self.note(observed, "tls", "TLSv1.3, AES. The certificate is for server.test, issued by an")
        self.lacks(observed, "tls-untrusted", "tls-expires", "tls-failed")

    def test_expires(self) -> None:
        self.note(public(tls=replace(SOUND, days=1)), "tls-expires", "in 1 day.")
        self.note(public(tls=replace(SOUND, days=20)), "tls-expires", "in 20 days.")
        self.lacks(public(tls=replace(SOUND, days=21)), "tls-expires")

    def test_problems(self) -> None:
        observed = public(tls=replace(SOUND, days=-3, problems=("it has expired",)))
        self.bad(observed, "tls-untrusted", "cannot be trusted: it has expired.")
        self.lacks(observed, "tls-expires")

    def test_failed(self) -> None:
        observed = public(tls=Tls(failure="wrong version number"))
        self.bad(observed, "tls-failed", "no TLS handshake: wrong version number.")
        self.lacks(observed, "tls", "tls-expires")


class AddressTests(FindingsTestCase):
    """This host's own, and what the server sees."""

    def test_own(self) -> None:
        own = ["2001:db8::7", "192.168.1.2", "10.0.0.1", "fe80::1"]
        observed = behind(own=[parse_ip(each) for each in own])
        text = "public IPv6 2001:db8::7; private IPv4 192.168.1.2, 10.0.0.1; link-local IPv6 fe80"
        self.note(observed, "own-addresses", text)
        self.lacks(observed, "no-ipv6", "no-ipv4", "carrier")

    def test_lacking(self) -> None:
        self.note(behind(), "no-ipv6", "no public IPv6")
        self.note(behind(own=[parse_ip("2001:db8::7")]), "no-ipv4", "through the relay only")
        observed = behind(own=[])
        self.bad(observed, "own-addresses", "no address")
        self.lacks(observed, "no-ipv6", "no-ipv4")

    def test_carrier(self) -> None:
        self.note(behind(own=[parse_ip("100.127.255.1")]), "carrier", "carrier")
        self.note(behind(own=[parse_ip("100.64.0.1"), parse_ip("10.0.0.1")]), "carrier", "carrier")
        self.lacks(behind(own=[parse_ip("100.128.0.1")]), "carrier")

    def test_sights(self) -> None:
        local = [Dial(parse_address("192.168.1.9:8080"), 0.1)]
        self.good(public(), "no-nat", "192.0.2.7")
        self.note(behind(), "nat", f"{ROUTER}, which is none of our addresses")
        self.bad(behind(None), "untold", "does not say")
        self.bad(behind("127.0.0.1:5"), "hidden", "127.0.0.1, which is not ours")
        self.bad(behind("198.51.100.1:5"), "perhaps-hidden", "its own address")
        self.bad(public(f"{ROUTER}:5"), "perhaps-hidden", "come from 192.0.2.7")
        self.note(behind("192.168.7.7:=", dials=local), "inside-nat", "within the network")
        self.note(behind("127.0.0.1:=", dials=[Dial(HERE, 0.1)]), "same-host", "on this host")
        self.bad(behind("127.0.0.1:5", dials=[Dial(HERE, 0.1)]), "hidden", "not our ports")
        self.bad(behind(f"{HOST}:5", dials=[Dial(HERE, 0.1)]), "hidden", "an address of this host")
        for tunnelled in (f"{ROUTER}:5", f"{ROUTER}:="):  # the server is asked by way of ssh -L
            observed = behind(tunnelled, dials=[Dial(HERE, 0.1)])
            self.bad(observed, "hidden", f"sees {ROUTER}, though we ask it on this host")
            self.lacks(observed, "same-host")

    def test_several(self) -> None:
        self.bad(behind(f"{ROUTER}:=", "203.0.113.2:="), "observed-several", "Not all")
        self.lacks(behind(), "observed-several")


class MappingTests(FindingsTestCase):
    """Ports, destinations, stray SYNs."""

    def test_ports(self) -> None:
        self.good(behind(), "ports-kept", "of 6 fresh ports each")
        two = (f"{ROUTER}:=", f"{ROUTER}:5", f"{ROUTER}:=")
        self.note(behind(*two), "ports-mostly-kept", "of 2 of 3 fresh")
        rarely = (f"{ROUTER}:=", f"{ROUTER}:5", f"{ROUTER}:9000")
        self.bad(behind(*rarely), "ports-changed", "3 fresh ports")
        self.note(behind(*COUNTED), "ports-sequential", "mapped 1 above")
        jumps = behind(f"{ROUTER}:1", f"{ROUTER}:2", f"{ROUTER}:34")
        self.note(jumps, "ports-sequential", "mapped 1 to 32 above")
        self.bad(behind(f"{ROUTER}:1", f"{ROUTER}:34"), "ports-changed", "no rule")
        self.bad(behind(f"{ROUTER}:2", f"{ROUTER}:1"), "ports-changed", "2 fresh ports")
        self.bad(behind(*RANDOM), "ports-changed", "6 fresh ports")
        self.note(behind(f"{ROUTER}:1"), "ports-unknown", "cannot be told")

    def test_ports_of_a_proxy(self) -> None:
        """They are not ours."""
        ports = ("ports-kept", "ports-changed", "ports-sequential", "mapping-untold")
        for observed in (behind(None), behind("127.0.0.1:5"), behind("198.51.100.1:5")):
            self.note(observed, "ports-untold", "cannot be seen")
            self.lacks(observed, *ports)
        self.lacks(public(**DIFFERENT), *ports, "ports-untold", "mapping-differs")

    def test_destinations(self) -> None:
        self.note(behind(), "mapping-untold", "names no second port")
        self.note(behind(other_ports=(1,)), "mapping-untold", "second port was not asked")
        self.note(behind(**by_two_ports(None, "1.2.3.4:5")), "mapping-untold", "to nothing")
        self.good(behind(**SAME), "mapping-same", "as the same by two ports")
        self.bad(behind(**DIFFERENT), "mapping-differs", "a mapping of its own")
        self.lacks(behind(relayed=[CUT]), "mapping-untold")
        self.bad(behind(**FILTERED), "second-port", "port 8081")
        self.bad(public(**FILTERED), "second-port", "port 8081")

    def test_stray(self) -> None:
        self.good(behind(**stray(StrayAnswer.CONNECTED)), "hairpin", "comes back to us")
        refused = behind(**stray(StrayAnswer.REFUSED, "connection refused"))
        self.note(refused, "stray-refused", "is refused: connection refused. One from outside")
        self.note(behind(**stray(StrayAnswer.SILENT)), "stray-silent", "it is dropped")
        self.bad(behind(**stray(StrayAnswer.ELSEWHERE)), "stray-elsewhere", "not ours")
        self.note(public(), "stray-untold", "cannot be told here")
        self.lacks(Observations("http://x/"), "stray-untold")
        self.lacks(behind(late=[STRAY_SYN]), "stray-untold")


class ConnectionTests(FindingsTestCase):
    """Times."""

    def test_medians(self) -> None:
        seen = [met("1.2.3.4:5", seconds=seconds) for seconds in (9.0, 0.012, 0.02)]
        self.good(public(relayed=seen), "relay", "in 20 ms (median of 3).")
        direct = [met(is_relay=False, seconds=seconds) for seconds in (0.001, 2.0, 1.0)]
        self.good(public(direct=direct), "direct", "in 1 s (median of 3), by 198.51.100.1:8080")

    def test_no_direct(self) -> None:
        observed = public(direct=[met(is_relay=False), met(is_relay=True)])
        self.bad(observed, "direct-none", "still took the relay")
        self.lacks(observed, "direct")
        self.lacks(public(direct=[]), "direct", "direct-none")
        self.lacks(public(direct=[failed(What.NO_PATH)]), "direct", "direct-none")

    def test_some_came_to_nothing(self) -> None:
        """After one that did not."""
        twice = [met(), failed(What.UNREACHABLE)]
        self.bad(public(relayed=twice), "relay-failed", "One of 2 meetings by the relay came to")
        self.bad(public(direct=twice), "direct-failed", "own addresses came to nothing: so it was.")
        self.lacks(public(relayed=[failed(What.UNREACHABLE)]), "relay-failed")
        self.lacks(public(relayed=[met(), CUT]), "relay-failed")

    def test_throughput(self) -> None:
        observed = public(throughput=Throughput(3_000_000, 1.5))
        self.note(observed, "throughput", "carries 2 MB/s")
        self.note(observed, "throughput", "(3 MB in 1.5 s)")
        self.lacks(observed, "relay-broke")
        broken = public(throughput=Throughput(5, 0.0, broken=True))
        self.note(broken, "throughput", "The relay works from this host to itself")
        self.bad(broken, "relay-broke", "broke")
        self.bad(public(throughput=Throughput(0, 1.5)), "throughput", "Nothing of what was sent")

    def test_half_close(self) -> None:
        """For both together, or for one of them."""
        passed, both, nothing = HalfClose.PASSED, HalfClose.BOTH, HalfClose.NOTHING
        key = "half-close"
        self.lacks(public(), key)
        self.good(public(half_close={"dialer": passed}), key, "When one side")
        self.good(public(half_close={"dialer": passed, "acceptor": passed}), key, "goes on.")
        self.bad(public(half_close={"dialer": both, "acceptor": both}), key, "When one side")
        self.bad(public(half_close={"dialer": both}), key, "When the dialer of a relayed")
        self.bad(public(half_close={"dialer": passed, "acceptor": both}), key, "When the acceptor")
        texts = findings(public(half_close={"dialer": both, "acceptor": nothing}))
        self.assertEqual([each.weight for each in texts if each.key == key], [Weight.BAD] * 2)

    def test_every_text(self) -> None:
        """A sentence for a person."""
        changes: list[dict[str, Any]] = [{}, FILTERED, SAME, DIFFERENT, {"tls": SOUND}]
        for change in changes:
            for each in findings(behind(**change)):
                self.assertRegex(each.text, r"^[A-Z1].*\.$")
                self.assertNotIn("  ", each.text)
