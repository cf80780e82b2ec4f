"""Addresses of proxies."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import network_of
from rdv.server.limits.hiding import Hiding, is_public
from rdv.server.limits.memory import Memory

GATEWAY = "172.17.0.1"


class PublicTests(SynchronousTestCase):
    def test_which(self) -> None:
        """Those to which nobody comes from outside are not."""
        inside = (
            "127.0.0.1 10.1.2.3 172.16.0.1 172.31.255.1 192.168.0.1 169.254.1.1 100.64.0.1 "
            "::1 fd00::1 fe80::1 ::ffff:10.0.0.1"
        )
        outside = (
            "128.0.0.1 11.1.2.3 172.15.0.1 172.32.0.1 192.169.0.1 169.253.1.1 100.63.0.1 "
            "100.128.0.1 2001:db8::1 ff00::1 ::ffff:1.2.3.4"
        )
        self.assertEqual([h for h in inside.split() if is_public(network_of(h))], [])
        self.assertEqual([h for h in outside.split() if not is_public(network_of(h))], [])


class HidingTests(SynchronousTestCase):
    """Two workers. A key is as good as any other."""

    def setUp(self) -> None:
        memory = Memory(2)
        self.workers = [Hiding(memory.hiding(), own) for own in range(2)]
        self.now = 1000.0

    def come(self, host: str, named: str, worker: int = 0) -> None:
        """A client."""
        self.workers[worker].came(_key(host), host, named, self.now)

    def many(self, host: str, number: int, worker: int = 0) -> None:
        """Clients of many homes."""
        for each in range(number):
            self.come(host, f"192.168.1.{each}:5, 192.0.2.1:7", worker)

    def hidden(self, host: str) -> list[bool]:
        """What the two workers say."""
        return [each.hides(_key(host)) for each in self.workers]

    def test_found(self) -> None:
        """By eight different addresses that clients have; what one worker knows all know."""
        self.many(GATEWAY, 7)
        self.assertEqual((self.hidden(GATEWAY), self.workers[0].addresses), ([False] * 2, []))
        self.many(GATEWAY, 8)
        self.assertEqual(self.hidden(GATEWAY), [True, True])
        self.assertEqual(self.workers[0].addresses, [GATEWAY])
        self.assertEqual(self.hidden("172.17.0.2"), [False, False])

    def test_own(self) -> None:
        """Not for clients that come from the address that they have, nor for those without any."""
        for port in range(20):
            self.come("10.0.0.5", f"10.9.9.{port}:7, 10.0.0.5:{port}")
            self.come(GATEWAY, "")
        self.assertEqual(self.hidden("10.0.0.5") + self.hidden(GATEWAY), [False] * 4)

    def test_own_in_another_form(self) -> None:
        """Likewise on a port for both kinds of IP, and within a link."""
        for host, own in (("::ffff:10.0.0.5", "10.0.0.5:7"), ("fe80::5%eth0", "[fe80::5]:7")):
            for number in range(20):
                self.come(host, f"10.9.9.{number}:7, {own}")
            self.assertEqual(self.hidden(host), [False, False])

    def test_similar(self) -> None:
        """An address that begins with that of the gateway is another one."""
        for number in range(100, 108):
            self.come("192.168.1.1", f"192.168.1.{number}:7")
        self.assertEqual(self.hidden("192.168.1.1"), [True, True])

    def test_same(self) -> None:
        """Not for one host, however often and at whatever ports it comes."""
        for port in range(20):
            self.come("127.0.0.1", f"192.168.1.7:{port}, 10.0.0.1:{port}")
        self.assertEqual(self.hidden("127.0.0.1"), [False, False])

    def test_network(self) -> None:
        """Where hosts come by themselves nobody is taken for a proxy, nor any longer."""
        self.many(GATEWAY, 8)
        for host in range(2, 6):
            self.assertEqual(self.hidden(GATEWAY), [True, True])
            self.come(f"172.17.0.{host}", "")
        self.assertEqual(self.hidden(GATEWAY), [False, False])
        for host in range(6, 100):
            self.come(f"172.17.0.{host}", "")
        self.many(GATEWAY, 8)
        self.assertEqual(self.hidden(GATEWAY), [False, False])
        self.now += 3601
        self.many(GATEWAY, 8)
        self.assertEqual(self.hidden(GATEWAY), [True, True])

    def test_several(self) -> None:
        """A few proxies are found out, each worker for itself."""
        for number in range(4):
            self.many(f"10.0.0.{number}", 8)
            self.many(f"10.0.1.{number}", 8, 1)
        for number in range(4):
            self.assertEqual(self.hidden(f"10.0.0.{number}"), [True, True])
            self.assertEqual(self.hidden(f"10.0.1.{number}"), [True, True])


def _key(host: str) -> int:
    return int.from_bytes(network_of(host), "big")
