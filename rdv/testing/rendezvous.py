"""
A rendezvous in memory: a server, and clients.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site
from zope.interface import implementer

from rdv.addresses import AddressSpace
from rdv.client import Client, Connection
from rdv.server import Identify, Rendezvous, RendezvousResource
from rdv.testing.host import Host
from rdv.testing.network import Network

__all__ = ["MemoryRendezvous"]

_NAME = "rendezvous.test"
_SERVER = IPv4Address("192.0.2.1")
# Local addresses: two clients with one public address would look like hosts behind one NAT.
_FIRST_CLIENT = IPv4Address("10.0.0.1")
_PORT = 80


class MemoryRendezvous:
    """
    The server and clients of rdv, on a network in memory. They run the real code; only the sockets,
    name resolution and the clock are simulated. Nothing happens by itself: call :meth:`flush` to
    deliver data, and :meth:`advance` to pass time.

    Each client is on its own host. By default, two clients find a direct path; clients with
    ``spaces=AddressSpace.NONE`` use the relay.

    :param identify: for :class:`rdv.server.RendezvousResource`: names the users of a hook's pair.
    :param options: for :class:`rdv.server.Rendezvous`: ``serve``, ``lobby_timeout`` and so on.
    :ivar url: for :meth:`Client.dial <rdv.client.Client.dial>` and ``accept``.
    :ivar server: the :class:`rdv.server.Rendezvous`, for instance for its ``waiting`` and
        ``outcomes``; another one after :meth:`start`.
    :ivar clock: its ``seconds()`` are the time.
    """

    url = f"http://{_NAME}/rdv"

    def __init__(self, *, identify: Identify | None = None, **options: Any) -> None:
        self._network = Network()
        self._server_host = self._network.host(_SERVER, _NAME)
        self.clock: IReactorTime = self._network.clock
        self._identify = identify
        self._options = options
        self._refusal: tuple[int, str] | None = None
        self._blocked = False
        self.start()

    def host(self) -> Host:
        """
        A new host: a reactor, for programs that make their own :class:`~rdv.client.Client`, or that
        listen and connect over TCP as well. It has ``listenTCP``, ``connectTCP``, the clock and a
        resolver.
        """
        ip = _FIRST_CLIENT + len(self._network.hosts) - 1
        if self._blocked:
            self._network.shielded.add(ip)
        return self._network.host(ip)

    def client(self, **options: Any) -> Client:
        """
        A new client, on its own host.

        :param options: for :class:`rdv.client.Client`.
        """
        return Client(self.host(), **options)

    def pair(self, token: str = "token", *, relay: bool = False) -> tuple[Connection, Connection]:
        """
        Two connected clients.

        :param relay: whether they are connected through the server.
        :return: the dialer's connection, and the acceptor's.
        :raises AssertionError: if they are not connected; with the reason, unless they are still
            waiting.
        """
        spaces = AddressSpace.NONE if relay else AddressSpace.DEFAULT
        connecting = [
            self.client(spaces=spaces).dial(self.url, token),
            self.client(spaces=spaces).accept(self.url, token),
        ]
        self.flush()
        found = [getattr(each, "result", None) for each in connecting]
        dialer, acceptor = found
        if isinstance(dialer, Connection) and isinstance(acceptor, Connection):
            return dialer, acceptor
        for each in connecting:
            each.addErrback(lambda _: None)
            each.cancel()
        self.flush()
        reasons = [each.getErrorMessage() for each in found if isinstance(each, Failure)]
        raise AssertionError(": ".join(["the two are not connected", *reasons[:1]]))

    # Moving.

    def flush(self) -> None:
        """
        Deliver all data in transit, and the responses to it, until nothing moves. The clock stands
        still.

        :raises RuntimeError: if it does not end, or is called by a receiver of the data.
        """
        self._network.flush()

    def advance(self, seconds: float) -> None:
        """
        Let ``seconds`` pass. Each delayed call is made at its own time, and the data that it causes
        is delivered immediately. Begins with a :meth:`flush`.
        """
        self._network.advance(seconds)

    # Failures.

    def refuse(self, status: int, reason: str) -> None:
        """
        From now on answer every request with an HTTP error.

        :param status: a standard one, 400 or more.
        :param reason: a line of text.
        """
        if HTTPStatus(status) < HTTPStatus.BAD_REQUEST:
            raise ValueError(f"not an error: {status}")
        self._refusal = (status, reason)

    def admit(self) -> None:
        """Answer like an rdv server again."""
        self._refusal = None

    def stop(self) -> None:
        """
        Stop the server: waiting clients get a 503, relayed pairs are cut, and new connections are
        refused.
        """
        self._port.stopListening()
        self.server.close()
        if not self._network.moving:
            self.flush()

    def start(self) -> None:
        """Start the server again after a :meth:`stop`."""
        server = Rendezvous(self._server_host, **self._options)
        door = _Door(RendezvousResource(server, identify=self._identify), lambda: self._refusal)
        site = Site(door, reactor=self._server_host)
        site.noisy = False
        self._port = self._server_host.listenTCP(_PORT, site)
        self.server = server

    def block_direct_paths(self) -> None:
        """From now on, a firewall at each client, including new ones, drops incoming SYNs."""
        self._blocked = True
        self._network.shielded.update(host.ip for host in self._clients)

    def open_direct_paths(self) -> None:
        """
        Remove the firewalls again. Clients that are still dialling each other get through with one
        of their next SYNs; a secured stream that started on the relay then moves.
        """
        self._blocked = False
        self._network.shielded.clear()

    def break_connections(self) -> None:
        """Break all existing connections, as by a reset."""
        for host in self._clients:
            for transport in host.transports:
                transport.cut()

    # What is left over.

    @property
    def _clients(self) -> list[Host]:
        return [host for host in self._network.hosts.values() if host is not self._server_host]

    def leftovers(self) -> list[str]:
        """
        Describe what the clients have left open after a :meth:`flush`: connections, listening ports
        and delayed calls. The server's own are omitted, because they end with its clients'.
        """
        self.flush()
        found = []
        for host in self._clients:
            for transport in host.transports:
                peer = transport.getPeer()
                found.append(f"{host.ip}: a connection to {peer.host}:{peer.port}")
            found += [f"{host.ip}: listens on port {number}" for number in host.ports]
            found += [f"{host.ip}: {call}" for call in host.getDelayedCalls()]
        return found

    def assert_nothing_left(self) -> None:
        """
        Call this at the end of a test: see :meth:`leftovers`.

        :raises AssertionError: when there is anything.
        """
        if found := self.leftovers():
            raise AssertionError("\n".join(["left over:", *found]))


@implementer(IResource)
class _Door(Resource):
    """
    Stands in front of the server's resource.

    :param refusal: returns the status and the reason for refusing all requests, or None.
    """

    isLeaf = True

    def __init__(
        self, inside: RendezvousResource, refusal: Callable[[], tuple[int, str] | None]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inside = inside
        self._refusal = refusal

    def render(self, request: IRequest) -> int | bytes:
        refusal = self._refusal()
        if refusal is None:
            return self._inside.render(request)
        assert isinstance(request, Request)
        status, reason = refusal
        request.setResponseCode(status, HTTPStatus(status).phrase.encode())
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        return f"{reason}\n".encode()
