"""
Which other ports of the server are reported to a client.
"""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ISSLTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from rdv.addresses import parse_ip
from rdv.server.ports import Ports
from rdv.server.site.parts import named_ports
from rdv.settings import ServerSettings
from rdv.test.server.doubles import ServerTestCase
from rdv.wire import other_ports, parse_answer, switching_protocols


class _Port:
    def __init__(self, host: object) -> None:
        self.getHost = lambda: host


def at(number: int, host: str = "0.0.0.0") -> Any:
    """A port, or the transport of a connection to it."""
    return _Port(IPv4Address("TCP", host, number))


def tls_at(number: int) -> Any:
    transport = at(number)
    alsoProvides(transport, ISSLTransport)
    return transport


class BesideTests(SynchronousTestCase):
    """:meth:`Ports.beside`."""

    def test_beside(self) -> None:
        """Those of the same kind; none to whoever has come by another way, as a proxy's."""
        ports = Ports((8080, 8081, 8082), (8443, 8444))
        elsewhere: Any = _Port(UNIXAddress("x"))
        for transport, wanted in (
            (at(8081), (8080, 8082)),
            (tls_at(8443), (8444,)),
            (at(9999), ()),
            (tls_at(8080), ()),
            (elsewhere, ()),
        ):
            self.assertEqual(ports.beside(transport), wanted)
        for only in (Ports((8080,), (8443,)), Ports()):
            self.assertEqual(only.beside(at(8080)), ())

    def test_link_local(self) -> None:
        """An address within a link is named with its zone."""
        link: Any = _Port(IPv6Address("TCP", "fe80::1%eth0", 8080))
        listening = {8081: frozenset([parse_ip("fe80::1")]), 8082: frozenset([parse_ip("::1")])}
        self.assertEqual(Ports((8080, 8081, 8082), hosts=listening).beside(link), (8081,))
        settings = ServerSettings(listen=("tcp:8080:interface=fe80\\:\\:1%eth0",))
        self.assertEqual(named_ports(settings, [link]).plain, (8080,))

    def test_no_address(self) -> None:
        """Some systems know none any more when the connection has been reset."""

        def reset() -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

        gone = at(8080)
        gone.getHost = reset
        self.assertEqual(Ports((8080, 8081)).beside(gone), ())


class NamedTests(SynchronousTestCase):
    """:func:`named_ports`."""

    def named(self, listening: list[tuple[str, Any]]) -> Ports:
        """Those of a server that listens so."""
        strings, ports = zip(*listening, strict=True)
        return named_ports(ServerSettings(listen=strings), ports)

    def test_kinds(self) -> None:
        """
        An address each, of both families, counts once; other types do not count, nor what listens
        on loopback, to which nobody else comes.
        """
        v6: Any = _Port(IPv6Address("TCP", "::", 8080))
        unix: Any = _Port(UNIXAddress("/x"))
        listening = [
            ("tcp:8080:interface=::", v6),
            ("tcp:8080", at(8080)),
            ("ssl:8443:privateKey=x", at(8443)),
            ("haproxy:tcp:8090", at(8090)),
            ("unix:/x", unix),
            ("tcp:8081", at(8081)),
            ("tcp:8082:interface=127.0.0.1", at(8082, "127.0.0.1")),
        ]
        self.assertEqual(self.named(listening)[:2], ((8080, 8081), (8443,)))

    def test_one_address(self) -> None:
        """What listens on one address of this host is not named to who has come by another one."""
        v6: Any = _Port(IPv6Address("TCP", "::", 8084))
        listening = [
            ("tcp:8080", at(8080)),
            ("tcp:8081:interface=10.0.0.1", at(8081, "10.0.0.1")),
            ("tcp:8082:interface=10.0.0.1", at(8082, "10.0.0.1")),
            ("tcp:8082:interface=192.0.2.1", at(8082, "192.0.2.1")),
            ("tcp:8084:interface=::", v6),
        ]
        ports = self.named(listening)
        self.assertEqual(ports.beside(at(8080, "192.0.2.1")), (8082, 8084))
        self.assertEqual(ports.beside(at(8081, "10.0.0.1")), (8080, 8082, 8084))
        mapped: Any = _Port(IPv6Address("TCP", "::ffff:10.0.0.1", 8084))
        self.assertEqual(ports.beside(mapped), (8080, 8081, 8082))
        by_v6: Any = _Port(IPv6Address("TCP", "2001:db8::1", 8084))
        self.assertEqual(ports.beside(by_v6), ())

    def test_settings(self) -> None:
        """Behind a proxy there are none that a client could reach."""
        listen = ("192.0.2.1:8080", "tcp:8081")
        ports = [at(8080, "192.0.2.1"), at(8081)]
        self.assertEqual(named_ports(ServerSettings(listen), ports)[:2], ((8080, 8081), ()))
        self.assertEqual(named_ports(ServerSettings(listen, observed_header="X"), ports), Ports())


class HeaderTests(SynchronousTestCase):
    """The header of the 101."""

    def test_head(self) -> None:
        """The answer is what it is without it, to whom does not know it."""
        head = switching_protocols("192.0.2.1:2", "", [8081, 8082])
        self.assertIn(b"\r\nRdv-Other-Ports: 8081, 8082\r\n", head)
        lines = head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        headers = {name: [value] for name, value in (line.split(b": ", 1) for line in lines)}
        self.assertEqual(other_ports(lambda name: headers.get(name, [])), [8081, 8082])
        answer = parse_answer(lambda name: headers.get(name, []))
        self.assertEqual(str(answer.observed), "192.0.2.1:2")
        self.assertNotIn(b"Other", switching_protocols("", "", []))

    def test_nonsense(self) -> None:
        """What is no port is ignored, like the header itself."""
        values = [b"0, 65536, -1, x,, 99999999999999999999", b" 80 ,\xb2"]
        self.assertEqual(other_ports(lambda name: values), [80])
        self.assertEqual(other_ports(lambda name: []), [])


class AnswerTests(ServerTestCase):
    """What a rendezvous reports."""

    def test_told(self) -> None:
        """In the one write of the answer."""
        dialer = self.dial()
        self.rendezvous.ports = Ports((1, 8081))
        setattr(dialer.at_server, "getHost", lambda: at(1).getHost())  # noqa: B010
        acceptor = self.accept()
        self.assertIn(b"\r\nRdv-Other-Ports: 8081\r\n", dialer.received)
        self.assertEqual(len(dialer.at_server.writes), 1)
        self.assertNotIn(b"Rdv-Other-Ports", acceptor.received)
