"""
Invalid arguments are reported immediately, by their names, before anything has begun.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from rdv.client import Client
from rdv.client.http.policy import tls_policy
from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
from rdv.endpoints.listener import Listener
from rdv.errors import BadToken, BadURL
from rdv.server import Rendezvous, RendezvousResource, forwarded_address
from rdv.test.client.doubles import ClientReactor
from rdv.wire import Role

URL = "http://192.0.2.80/rdv"
NAN = float("nan")
NO_NUMBERS = ("5", None, True, b"5", [1])
NO_SECONDS = (-1, -0.001, -math.inf, NAN)


class KnobsTestCase(SynchronousTestCase):
    """
    Wrong values of arguments.

    :ivar reactor: nothing is done with it.
    :ivar client: a client with that reactor.
    """

    def setUp(self) -> None:
        self.reactor = ClientReactor()
        self.client = Client(self.reactor)

    def tearDown(self) -> None:
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def told(
        self, call: Callable[..., Any], kind: type[Exception], name: str, value: Any
    ) -> Exception:
        """What is raised for a value; it names the argument."""
        error: Exception = self.assertRaises(kind, call, **{name: value})
        self.assertTrue(str(error).startswith(f"{name}: "), error)
        return error

    def check(
        self,
        call: Callable[..., Any],
        name: str,
        *,
        types: tuple[Any, ...] = (),
        values: tuple[Any, ...] = (),
    ) -> None:
        """These are of the wrong type, and those are out of range."""
        for value in types:
            self.told(call, TypeError, name, value)
        for value in values:
            self.told(call, ValueError, name, value)


class ConstructorTests(KnobsTestCase):
    """They raise."""

    def make(self, **options: Any) -> Client:
        """A client with these knobs."""
        return Client(**{"reactor": self.reactor, **options})

    def test_client(self) -> None:
        self.check(self.make, "reactor", types=(None, URL))
        self.check(self.make, "tls", types=("ca.pem", True))
        self.check(self.make, "spaces", types=(None, "none", 1))
        for name in ("self_addresses", "port_mapping", "chooser", "trace"):
            self.check(self.make, name, types=([], "x", 1))
        for name in ("local_port", "lowest_port"):
            self.check(self.make, name, types=("1", None, 1.0, True), values=(-1, 65536))
        self.check(self.make, "penalty", types=NO_NUMBERS, values=NO_SECONDS)
        for name in ("server_timeout", "handshake_timeout"):
            self.check(self.make, name, types=NO_NUMBERS, values=(0, *NO_SECONDS))

    def test_client_as_it_may_be(self) -> None:
        self.make(penalty=0, server_timeout=1, local_port=65535, lowest_port=0)
        self.make(penalty=math.inf, tls=None, self_addresses=None, trace=print)

    def test_secret(self) -> None:
        """A text that got into the wrong place is not shown."""
        for name in ("reactor", "tls", "penalty", "local_port"):
            self.assertNotIn("secret", str(self.told(self.make, TypeError, name, "secret")))

    def test_endpoint(self) -> None:
        def make(**options: Any) -> RendezvousEndpoint:
            given = {"client": self.client, "role": Role.DIALER, "url": URL, "token": "t"}
            return RendezvousEndpoint(**{**given, **options})

        self.check(make, "client", types=(None, URL))
        self.check(make, "role", types=(None, b"DIAL", 1))
        self.assertRaises(ValueError, make, role="dialler")
        self.check(make, "url", types=(None, URL.encode()))
        self.assertRaises(BadURL, make, url="example.com")
        self.check(make, "token", types=(None, 1))
        self.assertRaises(BadToken, make, token="")
        self.check(make, "timeout", types=("5", True), values=NO_SECONDS)
        self.check(make, "headers", types=("A: b", [("A", "b")], {"A": 1}), values=({"A b": "c"},))

    def test_role_by_its_word(self) -> None:
        """What a dialer was called on the command line is one here."""
        for word, role in (("dial", Role.DIALER), ("accept", Role.ACCEPTOR)):
            endpoint = RendezvousEndpoint(self.client, word, URL, "t")
            self.assertIs(endpoint._queue._role, role)

    def test_server_endpoint(self) -> None:
        def make(**options: Any) -> RendezvousServerEndpoint:
            given = {"client": self.client, "url": URL, "token": "t"}
            return RendezvousServerEndpoint(**{**given, **options})

        self.check(make, "client", types=(None, "dial"))
        self.check(make, "url", types=(None, 1))
        self.check(make, "token", types=(None, 1))
        self.check(make, "headers", types=("A: b",))
        self.check(make, "trouble", types=(1,))

    def test_listener(self) -> None:
        def make(**options: Any) -> Listener:
            return Listener(self.client, URL, "t", {}, print, **options)

        self.check(make, "trouble", types=(1,))
        self.check(make, "most", types=("1", None), values=(0, -1))

    def test_rendezvous(self) -> None:
        def make(**options: Any) -> Rendezvous:
            return Rendezvous(**{"reactor": Clock(), **options})

        self.check(make, "reactor", types=(None, 1))
        for name in ("lobby_timeout", "handshake_timeout"):
            self.check(make, name, types=NO_NUMBERS, values=NO_SECONDS)
        optional = tuple(each for each in NO_NUMBERS if each is not None)
        self.check(make, "idle_timeout", types=optional, values=NO_SECONDS)
        self.check(make, "relay", types=(0, "x"))
        self.check(make, "serve", types=(1, "x"))
        self.check(make, "align", types=(1, "yes", None))

    def test_resource(self) -> None:
        def make(**options: Any) -> RendezvousResource:
            return RendezvousResource(**{"rendezvous": Rendezvous(Clock()), **options})

        self.check(make, "rendezvous", types=(None, self.reactor))
        self.check(make, "observed_address", types=("X-Real-IP",))

    def test_functions(self) -> None:
        """That make a value for a knob."""
        self.check(forwarded_address, "header", types=(None, b"X"))
        self.check(tls_policy, "ca", types=("ca.pem",))
        self.check(tls_policy, "certificate", types=("own.pem",))


class AttemptTests(KnobsTestCase):
    """What returns a Deferred errbacks."""

    def told(
        self, call: Callable[..., Any], kind: type[Exception], name: str, value: Any
    ) -> Exception:
        error: Exception = self.failureResultOf(call(**{name: value}), kind).value
        self.assertTrue(str(error).startswith(f"{name}: "), error)
        return error

    def test_dial_and_accept(self) -> None:
        for method in (self.client.dial, self.client.accept):

            def call(method: Any = method, **options: Any) -> Any:
                return method(**{"url": URL, "token": "t", **options})

            self.check(call, "url", types=(None, URL.encode()))
            self.check(call, "token", types=(None, 1))
            self.check(call, "timeout", types=("5", True), values=NO_SECONDS)
            self.check(call, "trace", types=(1,))
            self.check(call, "headers", types=("A: b", {1: "b"}), values=({"": "c"},))
            self.check(call, "auth", types=("user:password", ("user",), ("user", None)))
            self.check(call, "cookies", types=("a=b",))
            self.check(call, "params", types=(1,))
            for name in ("tiemout", "data", "allow_redirects", "reactor"):
                self.check(call, name, types=(True,))

    def test_factories(self) -> None:
        """A protocol is none."""
        client = RendezvousEndpoint(self.client, Role.DIALER, URL, "t")
        server = RendezvousServerEndpoint(self.client, URL, "t")
        for method in (client.connect, server.listen):
            self.check(method, "protocolFactory", types=(None, Protocol, Protocol()))

    def test_as_they_may_be(self) -> None:
        """It begins, with all of them."""
        dialling = self.client.dial(
            URL,
            b"t",
            timeout=0,
            trace=None,
            headers=Headers({"A": ["b"]}),
            auth=("user", b"password"),
            cookies={"a": "b"},
            params=[("a", "b")],
        )
        self.assertNoResult(dialling)
        self.assertEqual(len(self.reactor.tcpServers), 1)
        dialling.cancel()
        self.failureResultOf(dialling)
        self.reactor.tcpServers.clear()
