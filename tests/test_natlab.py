"""
The laboratory itself: its internet and its counters work as configured, and nothing of it is left
over. Real sockets in real namespaces, without any peer of rdv.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from pathlib import Path
from random import Random

from tests import natlab
from tests.natlab import lab as lab_module
from tests.natlab.case import PATIENCE, Case, topology
from tests.natlab.lab import PORT
from tests.natlab.model import Box, Server, Site
from tests.natlab.rules import MARK


class BuildTests(Case):
    """What is built can be used, and is removed completely."""

    def test_all(self) -> None:
        """In every topology both peers reach the server at once, without a packet lost."""
        for name, plan in natlab.TOPOLOGIES.items():
            for conditions in (natlab.Conditions(), natlab.Conditions(peers=1)):
                with natlab.Lab(plan, conditions) as lab:
                    for host in (lab.dialer, lab.acceptor):
                        self.check_server(name, lab, host)

    def check_server(self, name: str, lab: natlab.Lab, host: natlab.Host) -> None:
        versions = {":" in ip for ip in host.addresses}
        targets = [ip for ip in lab.server.addresses if (":" in ip) in versions]
        self.assertTrue(targets, name)
        for target in targets:
            family = socket.AF_INET6 if ":" in target else socket.AF_INET
            with self.listen(lab.server, family=family) as listener:
                self.open(host, family=family).connect((target, PORT))
                listener.accept()[0].close()
        self.assertEqual(host.counters()["syn_server"], len(targets), name)

    def traces(self, lab: natlab.Lab) -> list[Path]:
        namespaces = [lab.server.namespace, *lab.dialer.boxes, *lab.shared]
        namespaces += [lab.dialer.namespace, lab.acceptor.namespace]
        return [path for each in namespaces for path in (each.path, each.etc) if path.exists()]

    def test_removed(self) -> None:
        """Namespaces, files and processes, the forwarder too."""
        plan = natlab.TOPOLOGIES["v6-firewall"]
        lab = self.build(plan, natlab.Conditions.named("1"))
        self.assertEqual(len(self.traces(lab)), 6)
        sleeper = lab.dialer.namespace.popen(["sleep", "1000"])
        forwarder = lab.internet.forwarder
        assert forwarder is not None
        self.assertIsNone(forwarder.poll())
        lab.close()
        self.assertEqual(self.traces(lab), [])
        self.assertEqual((sleeper.poll(), forwarder.poll()), (-9, -9))
        lab.close()

    def test_impossible(self) -> None:
        """What cannot be built leaves nothing either."""
        before = set(Path("/run/netns").iterdir())
        box = Box(nat=None)
        for plan in topology(server=Server(in_lan=True)), topology(Site((box, box), v6=True)):
            self.assertRaises(natlab.LabError, natlab.Lab, plan)
        self.patch(lab_module, "box_rules", lambda *_, **__: "no rule")
        error = self.assertRaises(natlab.LabError, natlab.Lab, natlab.TOPOLOGIES["silent"])
        self.assertIn("syntax error", str(error))
        self.assertEqual(set(Path("/run/netns").iterdir()) - before, set())

    def test_clutter(self) -> None:
        """The real address is the last of many."""
        lab = self.build(natlab.TOPOLOGIES["clutter-lan"])
        shown = lab.dialer.namespace.run("ip", "-brief", "-4", "address", "show").splitlines()
        addresses = [line.split()[2].partition("/")[0] for line in shown[1:]]
        self.assertEqual(len(addresses), 15)
        self.assertEqual(addresses[-1:], lab.dialer.addresses)
        links = json.loads(lab.dialer.namespace.run("ip", "-json", "link", "show", "up"))
        alive = {link["ifname"] for link in links if link and "LOWER_UP" in link["flags"]}
        self.assertEqual(alive & {"down0", "dead0", "br0", "br11"}, {"br0", "br11"})


class InternetTests(Case):
    """Distances and loss, as datagrams meet them."""

    def send(
        self, sender: natlab.Host, receiver: natlab.Host, count: int, expected: int
    ) -> tuple[list[int], float]:
        """
        Send numbered datagrams; returns which arrived, in their order, and the least number of
        seconds that one took.
        """
        inbox = self.open(receiver, 5000, socket.SOCK_DGRAM)
        outbox = self.open(sender, 0, socket.SOCK_DGRAM)
        for number in range(count):
            text = struct.pack("!id", number, time.monotonic())
            outbox.sendto(text, (receiver.addresses[0], 5000))
        arrived, took = [], PATIENCE
        for _ in range(expected):
            number, sent = struct.unpack("!id", inbox.recv(100))
            took = min(took, time.monotonic() - sent)
            arrived.append(number)
        inbox.close()
        return arrived, took

    def test_far_server(self) -> None:
        """Each distance holds, in both directions."""
        lab = self.build(topology(), natlab.Conditions.named("far"))
        for one, other, milliseconds in (
            (lab.dialer, lab.server, 20),
            (lab.acceptor, lab.server, 100),
            (lab.dialer, lab.acceptor, 5),
        ):
            for sender, receiver in (one, other), (other, one):
                arrived, took = self.send(sender, receiver, 5, 5)
                self.assertEqual(arrived, [0, 1, 2, 3, 4])
                self.assertGreaterEqual(took * 1000, milliseconds)

    def test_loss(self) -> None:
        """Those packets are lost that the seed says, and no other."""
        random = Random(5)
        expected = [number for number in range(200) if random.random() >= 0.2]
        self.assertEqual(expected[-1], 199)  # otherwise one more would go unnoticed
        lab = self.build(topology(), natlab.Conditions(peers=1, loss=20, seed=5))
        arrived, _ = self.send(lab.dialer, lab.acceptor, 200, len(expected))
        self.assertEqual(arrived, expected)

    def test_true_senders(self) -> None:
        """Neither internet carries a packet whose sender's address is not of its site."""
        for conditions in natlab.Conditions(), natlab.Conditions(peers=1):
            lab = self.build(topology(), conditions)
            lab.dialer.namespace.run("ip", "addr", "add", "10.9.9.9/32", "dev", "wan")
            inbox = self.open(lab.acceptor, 5000, socket.SOCK_DGRAM)
            liar = self.open(lab.dialer, kind=socket.SOCK_DGRAM, address="10.9.9.9")
            honest = self.open(lab.dialer, kind=socket.SOCK_DGRAM)
            liar.sendto(b"lie", (lab.acceptor.addresses[0], 5000))
            honest.sendto(b"truth", (lab.acceptor.addresses[0], 5000))
            self.assertEqual(inbox.recv(100), b"truth")


class CounterTests(Case):
    """What the counters of a peer see."""

    def test_counters(self) -> None:
        """Each packet once, by its content and by the other end."""
        lab = self.build(topology(Site((Box(),))))
        peers = [
            (self.listen(lab.server), lab.server.addresses[0], "server"),
            (self.listen(lab.acceptor), lab.acceptor.addresses[0], "other"),
        ]
        for listener, address, whom in peers:
            lab.dialer.counters()
            sock = self.open(lab.dialer)
            sock.connect((address, PORT))
            connection, _ = listener.accept()
            self.addCleanup(connection.close)
            self.assertEqual(self.seen(lab), {f"syn_{whom}": 1})
            for end, other, way in (sock, connection, "out"), (connection, sock, "in"):
                end.sendall(b"something else")
                other.recv(100)
                self.assertEqual(self.seen(lab), {f"payload_{way}_{whom}": 1})
                end.sendall(MARK + b" of the application")
                other.recv(100)
                expected = {f"payload_{way}_{whom}": 1, f"data_{way}_{whom}": 1}
                self.assertEqual(self.seen(lab), expected)
        # What a host sends to itself does not count.
        listener = self.listen(lab.dialer, 9999)
        self.open(lab.dialer).connect((lab.dialer.addresses[0], 9999))
        listener.accept()[0].close()
        self.assertEqual(self.seen(lab), {})

    def seen(self, lab: natlab.Lab) -> dict[str, int]:
        return {name: count for name, count in lab.dialer.counters().items() if count}
