"""
The laboratory's routers do what they are asked to. Real sockets, without any peer of rdv.
"""

from __future__ import annotations

import os
import select
import signal
import socket

from tests import natlab
from tests.natlab.case import PATIENCE, Case, topology
from tests.natlab.lab import PORT
from tests.natlab.model import Box, Nat, Server, Site, Stray

#: Type and code of the ICMP errors that may answer a SYN, by IP version.
UNREACHABLE = {4: (3, 3), 6: (1, 4)}
PROHIBITED = {4: (3, 13), 6: (1, 1)}


class StrayTests(Case):
    """The response to an unsolicited SYN."""

    def answers(
        self, lab: natlab.Lab, target: str, family: socket.AddressFamily = socket.AF_INET
    ) -> set[object]:
        """
        Send a SYN from the dialer to ``target``; returns which answers came: ``reset``,
        ``accepted``, or ICMP's type and code.

        Another SYN, to the server, shows when there is nothing more to come.
        """
        icmp = socket.IPPROTO_ICMP if family is socket.AF_INET else socket.IPPROTO_ICMPV6
        segments, errors = (
            self.open(lab.dialer, kind=socket.SOCK_RAW, family=family, protocol=protocol)
            for protocol in (socket.IPPROTO_TCP, icmp)
        )
        stray = self.open(lab.dialer, family=family)
        stray.setblocking(False)
        stray.connect_ex((target, 9999))
        last = self.open(lab.dialer, family=family)
        server = lab.server.addresses[0]
        self.assertRaises(ConnectionRefusedError, last.connect, (server, 1))
        found: set[object] = set()
        sender = ""
        while sender != server:
            packet, (sender, *_) = segments.recvfrom(2000)
            if sender == target:
                reset = without_header(packet, family)[13] & 4
                found.add("reset" if reset else "accepted")
        errors.setblocking(False)
        while select.select([errors], [], [], 0)[0]:
            kind, code = without_header(errors.recv(2000), family)[:2]
            if kind in (1, 3):
                found.add((kind, code))
        return found

    def expected(self, version: int) -> dict[Stray, set[object]]:
        return {
            Stray.SILENT: set(),
            Stray.RESET: {"reset"},
            Stray.PORT_UNREACHABLE: {UNREACHABLE[version]},
            Stray.PROHIBITED: {PROHIBITED[version]},
            Stray.OWN_RESET: {"reset"},
        }

    def test_answers(self) -> None:
        """
        For one that comes to the public address of a router, or for a host with an address of its
        own, which it does not reach, whether the router translates IPv4 or not.
        """
        one, other = Site(v4=False, v6=True), Server(v4=False, v6=True)
        for stray in Stray:
            wanted = self.expected(4)[stray]
            lab = self.build(topology(acceptor=Site((Box(stray=stray),))))
            self.assertEqual(self.answers(lab, "192.0.2.1"), wanted, stray)
            lab = self.build(topology(acceptor=Site((Box(nat=None, stray=stray),))))
            listener = self.listen(lab.acceptor, 9999)
            self.assertEqual(self.answers(lab, lab.acceptor.addresses[0]), wanted, stray)
            self.assertEqual(select.select([listener], [], [], 0)[0], [])
            for nat in Nat.RANDOM, None:
                site = Site((Box(nat=nat, stray=stray),), v6=True)
                lab = self.build(topology(one, site, server=other))
                listener = self.listen(lab.acceptor, 9999, socket.AF_INET6)
                found = self.answers(lab, lab.acceptor.addresses[1], socket.AF_INET6)
                self.assertEqual(found, self.expected(6)[stray], (stray, nat))
                self.assertEqual(select.select([listener], [], [], 0)[0], [])

    def test_no_filter(self) -> None:
        """Only where the router's own TCP answers can one reach the router."""
        for stray, reached in (Stray.OWN_RESET, True), (Stray.RESET, False):
            lab = self.build(topology(acceptor=Site((Box(stray=stray),))))
            self.listen(lab.acceptor.boxes[0], 9999)
            attempt = self.open(lab.dialer).connect_ex(("192.0.2.1", 9999))
            self.assertEqual(attempt == 0, reached)

    def test_every_one(self) -> None:
        """No limit on the rate of answers: none of a hundred SYNs has to be sent again."""
        for stray in Stray.RESET, Stray.PORT_UNREACHABLE, Stray.PROHIBITED:
            lab = self.build(topology(acceptor=Site((Box(stray=stray),))))
            for _ in range(100):
                with self.open(lab.dialer) as sock:
                    self.assertRaises(OSError, sock.connect, ("192.0.2.1", 9999))
            self.assertEqual(lab.dialer.counters()["syn_other"], 100, stray)

    def test_inside_stays_inside(self) -> None:
        """Nobody gets to a private address by knowing the way."""
        for stray in Stray:
            home = Site((Box(stray=stray),))
            lab = self.build(topology(home, home, (Box(),)))
            neighbour = lab.dialer.boxes[0]
            private, way = lab.acceptor.addresses[0], "100.64.1.3"
            neighbour.run("ip", "route", "add", f"{private}/32", "via", way)
            self.listen(lab.acceptor, 9999)
            self.assertEqual(self.answers(lab, private), set())
            # It was the router, not a missing route.
            lab.acceptor.boxes[0].run("nft", "flush", "chain", "inet", "box", "forward")
            lab.acceptor.boxes[0].run("nft", "chain inet box forward { policy accept; }")
            self.open(lab.dialer).connect((private, 9999))


def without_header(packet: bytes, family: socket.AddressFamily) -> bytes:
    """What a raw socket got, from TCP's or ICMP's header on; IPv6's is never there."""
    return packet[(packet[0] & 15) * 4 :] if family is socket.AF_INET else packet


class MappingTests(Case):
    """Which port a NAT gives to a connection, and which hosts it lets in."""

    def ports(self, nat: Nat) -> tuple[int, list[int]]:
        """A host's port, and those that four destinations see, one after the other."""
        lab = self.build(topology(Site((Box(nat=nat),))))
        seen = []
        port = 0
        for destination in (lab.server, lab.acceptor):
            for number in 7001, 7002:
                listener = self.listen(destination, number)
                sock = self.open(lab.dialer, port)
                port = sock.getsockname()[1]
                sock.connect((destination.addresses[0], number))
                _, (ip, outer) = listener.accept()
                self.assertEqual(ip, "203.0.113.1")
                seen.append(outer)
        return port, seen

    def test_ports(self) -> None:
        """Its own, another one for each destination, with the first no exception, or the next."""
        port, seen = self.ports(Nat.PRESERVING)
        self.assertEqual(seen, [port] * 4)
        port, seen = self.ports(Nat.RANDOM)
        # Of five random ports among 64512 two may be the same, once in 6000 times.
        self.assertGreaterEqual(len({port, *seen}), 4)
        port, seen = self.ports(Nat.SEQUENTIAL)
        self.assertEqual(seen, [*range(seen[0], seen[0] + 4)])
        self.assertNotIn(port, seen)

    def test_filter(self) -> None:
        """A mapping lets nobody in but the address and port that it was made for."""
        for nat in Nat:
            lab = self.build(topology(acceptor=Site((Box(nat=nat, stray=Stray.RESET),))))
            listener, inside = self.listen(lab.server), self.listen(lab.acceptor)
            self.open(lab.acceptor, PORT).connect((lab.server.addresses[0], PORT))
            _, observed = listener.accept()
            for stranger in lab.server, lab.dialer:
                with self.open(stranger) as sock:
                    self.assertRaises(ConnectionRefusedError, sock.connect, observed)
            self.assertEqual(select.select([inside], [], [], 0)[0], [])

    def test_punch(self) -> None:
        """Two SYNs that cross open both routers, whatever these do with stray ones."""
        for stray in Stray:
            for nat in Nat.PRESERVING, None:
                site = Site((Box(nat=nat, stray=stray),))
                lab = self.build(topology(site, site), natlab.Conditions(peers=1))
                pair = [self.open(host) for host in (lab.dialer, lab.acceptor)]
                ips = ["203.0.113.1", "192.0.2.1"]
                if nat is None:
                    ips = [host.addresses[0] for host in (lab.dialer, lab.acceptor)]
                targets = [(ip, sock.getsockname()[1]) for ip, sock in zip(ips, pair, strict=True)]
                targets.reverse()
                self.connect_at_once(lab, pair, targets)
                for sock, target in zip(pair, targets, strict=True):
                    self.assertTrue(select.select([], [sock], [], PATIENCE)[1])
                    self.assertEqual(sock.getpeername(), target, (stray, nat))
                    sock.settimeout(PATIENCE)
                pair[0].sendall(b"hello")
                self.assertEqual(pair[1].recv(10), b"hello")

    def connect_at_once(
        self, lab: natlab.Lab, pair: list[socket.socket], targets: list[tuple[str, int]]
    ) -> None:
        """The internet stands still until both have sent their SYN."""
        forwarder = lab.internet.forwarder
        assert forwarder is not None
        forwarder.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, forwarder.pid, os.WSTOPPED | os.WNOWAIT)
        for sock, target in zip(pair, targets, strict=True):
            sock.setblocking(False)
            sock.connect_ex(target)
        forwarder.send_signal(signal.SIGCONT)

    def test_hairpin(self) -> None:
        """Hosts behind a NAT that hairpins reach each other through its public address only."""
        for hairpin in True, False:
            lab = self.build(topology(shared=(Box(hairpin=hairpin, stray=Stray.RESET),)))
            listener, inside = self.listen(lab.server), self.listen(lab.acceptor)
            self.open(lab.acceptor, PORT).connect((lab.server.addresses[0], PORT))
            _, observed = listener.accept()
            self.assertEqual(observed, ("203.0.113.1", PORT))
            sock = self.open(lab.dialer)
            if not hairpin:
                self.assertRaises(ConnectionRefusedError, sock.connect, observed)
                continue
            sock.connect(observed)
            connection, sender = inside.accept()
            self.assertEqual(sender, ("203.0.113.1", sock.getsockname()[1]))
            connection.sendall(b"hello")
            self.assertEqual(sock.recv(10), b"hello")
            connection.close()

    def test_only_server(self) -> None:
        """The server's port can be reached, and nothing else, at the server neither."""
        box = Box(only_server=True, stray=Stray.PROHIBITED)
        lab = self.build(topology(Site((box,))))
        self.listen(lab.server)
        self.listen(lab.server, 9999)
        self.listen(lab.acceptor)
        server, public = lab.server.addresses[0], lab.acceptor.addresses[0]
        self.open(lab.dialer).connect((server, PORT))
        for target in (server, 9999), (public, PORT):
            self.assertRaises(OSError, self.open(lab.dialer).connect, target)
