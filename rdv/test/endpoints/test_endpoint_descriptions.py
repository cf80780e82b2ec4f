"""
Descriptions of endpoints.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rdv.addresses import AddressSpace
from rdv.endpoint_strings import ClientParser, ServerParser
from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
from rdv.test.certificates import Authority
from rdv.test.client.doubles import ClientReactor
from rdv.wire import Role

BASE = r"rdv:http\://example.com\:8080/rdv"


class DescriptionTestCase(SynchronousTestCase):
    """Reads descriptions."""

    def setUp(self) -> None:
        self.reactor = ClientReactor()

    def client(self, text: str) -> Any:
        """A client's endpoint."""
        return clientFromString(self.reactor, text)

    def server(self, text: str) -> Any:
        """A server's."""
        return serverFromString(self.reactor, text)

    def settings(self, endpoint: Any) -> Any:
        """Of its client."""
        return self.made(endpoint)._shared.settings

    def made(self, endpoint: Any) -> Any:
        """Its client."""
        if isinstance(endpoint, RendezvousServerEndpoint):
            return endpoint._client
        assert isinstance(endpoint, RendezvousEndpoint)
        return endpoint._queue._connect.__self__  # type: ignore[attr-defined]

    def file(self, content: bytes) -> str:
        """A file."""
        path = Path(self.mktemp())
        path.write_bytes(content)
        return str(path)


class ReadingTests(DescriptionTestCase):
    """What they say."""

    def test_parsers(self) -> None:
        verifyObject(IStreamClientEndpointStringParserWithReactor, ClientParser())
        verifyObject(IStreamServerEndpointStringParser, ServerParser())
        for parser in (ClientParser(), ServerParser()):
            verifyObject(IPlugin, parser)

    def test_client(self) -> None:
        """A dialer, with a minute for it, unless it says otherwise."""
        for text, role, timeout in (
            ("", Role.DIALER, 60.0),
            (":role=dial:timeout=1.5", Role.DIALER, 1.5),
            (":timeout=0", Role.DIALER, None),
            (":role=accept", Role.ACCEPTOR, None),
        ):
            endpoint = self.client(f"{BASE}:token=abc{text}")
            queue = endpoint._queue
            self.assertEqual((queue._url, queue._token), ("http://example.com:8080/rdv", b"abc"))
            self.assertEqual((queue._role, endpoint._timeout), (role, timeout))
            self.assertIs(self.made(endpoint).clock, self.reactor)

    def test_server(self) -> None:
        endpoint = self.server(f"{BASE}:token=abc")
        self.assertEqual((endpoint._url, endpoint._token), ("http://example.com:8080/rdv", b"abc"))
        self.assertIs(self.made(endpoint).clock, self.reactor)

    def test_several_servers(self) -> None:
        """As a client takes them."""
        more = BASE + r",https\://b.example/rdv"
        urls = ["http://example.com:8080/rdv", "https://b.example/rdv"]
        self.assertEqual(self.server(f"{more}:token=abc")._url, urls)
        self.assertEqual(self.client(f"{more}:token=abc")._queue._url, urls)
        text = repr(self.client(f"{more}:token=abc"))
        self.assertEqual(text, f"<RendezvousEndpoint dial {','.join(urls)}>")
        self.assertRaises(ValueError, self.client, BASE + r",http\://:token=abc")

    def test_token(self) -> None:
        """With any character, or from the first line of a file."""
        first_line = self.file(b"secret ones\r\nand more")
        for text, token in (
            (r"token=a\:b\=c", b"a:b=c"),
            (f"tokenFile={self.file(b'secret')}", b"secret"),
            (f"tokenFile={first_line}", b"secret ones"),
        ):
            self.assertEqual(self.server(f"{BASE}:{text}")._token, token)

    def test_spaces(self) -> None:
        for text, spaces in (
            ("relay=yes", AddressSpace.NONE),
            ("relay=no", AddressSpace.DEFAULT),
            ("spaces=loopback,private4", AddressSpace.LOOPBACK | AddressSpace.PRIVATE4),
            ("spaces=all:relay=yes", AddressSpace.NONE),
        ):
            for endpoint in (
                self.client(f"{BASE}:token=abc:{text}"),
                self.server(f"{BASE}:token=abc:{text}"),
            ):
                self.assertEqual(self.settings(endpoint).spaces, spaces)

    def test_move(self) -> None:
        """A switch that is on."""
        for text, moves in (("", True), (":move=yes", True), (":move=no", False)):
            for endpoint in (
                self.client(f"{BASE}:token=abc{text}"),
                self.server(f"{BASE}:token=abc{text}"),
            ):
                self.assertEqual(self.settings(endpoint).move, moves)

    def test_headers(self) -> None:
        """As many as one likes."""
        text = rf"{BASE}:token=abc:header=X-A\: 1:header2=X-B\:2:header10=X-A\: 3"
        for headers in (
            self.server(text)._options["headers"],
            self.client(text)._queue._options["headers"],
        ):
            found = dict(headers.getAllRawHeaders())
            self.assertEqual(found, {b"X-A": [b"1", b"3"], b"X-B": [b"2"]})

    def test_tls(self) -> None:
        """Another authority than the platform's, and a certificate of our own."""
        authority = Authority()
        ca, own = self.file(authority.pem), self.file(authority.issue("me"))
        policy = self.settings(self.server(f"{BASE}:token=abc:ca={ca}:cert={own}")).tls
        self.assertIsNotNone(policy._roots)
        self.assertIsNotNone(policy._own)

    def test_proxy(self) -> None:
        """As a client takes it, and not from the environment."""
        self.patch(os, "environ", {"http_proxy": "http://other:1"})
        for text, proxy in (
            ("", "None"),
            (r":proxy=http\://x\:y@proxy\:3128", "http://proxy:3128"),
        ):
            for read in (self.client, self.server):
                found = self.settings(read(f"{BASE}:token=abc{text}")).proxy
                self.assertEqual(str(found), proxy)


class NonsenseTests(DescriptionTestCase):
    """Invalid descriptions are reported in one line."""

    def check(self, text: str, expected: str, *, server: bool = True) -> None:
        """Both parsers say so."""
        reads = [self.client, self.server] if server else [self.client]
        for read in reads:
            error = str(self.assertRaises(ValueError, read, text))
            self.assertRegex(error, f"^rdv endpoint: {expected}")
            self.assertNotIn("\n", error)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_url(self) -> None:
        self.check("rdv:token=abc", "no URL: ")
        self.check("rdv:http://example.com/rdv:token=abc", r"not rdv:.* backslash")
        self.check(r"rdv:ftp\://example.com:token=abc", "not an http:// or https:// URL")
        self.check("rdv::token=abc", "not an http")

    def test_token(self) -> None:
        self.check(BASE, "give either token=TOKEN or tokenFile=PATH")
        self.check(f"{BASE}:token=a:tokenFile=b", "give either token=TOKEN or tokenFile=PATH")
        self.check(f"{BASE}:token=", "the token is empty")
        self.check(f"{BASE}:tokenFile=/no/such/file", "cannot read /no/such/file: No such file")
        self.check(f"{BASE}:tokenFile={self.file(b'')}", "the token is empty")
        self.check(f"{BASE}:tokenFile={self.file(bytes([255]))}", "cannot read .*: not UTF-8")

    def test_options(self) -> None:
        self.check(f"{BASE}:token=a:colour=red", "unknown option: colour")
        self.check(f"{BASE}:token=a:relay=maybe", "relay=maybe: not yes or no")
        self.check(f"{BASE}:token=a:spaces=mars", "not an address space: 'mars'")
        self.check(f"{BASE}:token=a:header=X", "not NAME: VALUE: 'X'")
        self.check(f"{BASE}:token=a:ca=/no/such/file", "cannot read /no/such/file")
        self.check(rf"{BASE}:token=a:proxy=ftp\://x", r"proxy: not http://")
        self.check(f"{BASE}:token=a:ca={self.file(b'x')}", ".*: not a PEM certificate")

    def test_options_of_a_client(self) -> None:
        self.check(f"{BASE}:token=a:role=boss", "role=boss: not dial or accept", server=False)
        self.check(f"{BASE}:token=a:timeout=soon", "timeout=soon: not seconds", server=False)
        for text in ("role=accept", "timeout=5"):
            error = self.assertRaises(ValueError, self.server, f"{BASE}:token=a:{text}")
            self.assertIn("unknown option: ", str(error))

    def test_secret(self) -> None:
        """An error does not show a token."""
        error = self.assertRaises(ValueError, self.server, f"{BASE}:token=xyzzy:colour=red")
        self.assertNotIn("xyzzy", str(error))


class CostTests(SynchronousTestCase):
    """Every program that describes an endpoint imports the parsers."""

    def test_import(self) -> None:
        """They bring nothing with them that Twisted's plugins have not."""
        source = (
            "import sys, twisted.application.service\n"
            "before = set(sys.modules)\n"
            "import rdv.endpoint_strings\n"
            "print(*sorted(set(sys.modules) - before))"
        )
        done = subprocess.run(
            [sys.executable, "-c", source], capture_output=True, check=True, text=True
        )
        self.assertEqual(done.stdout.split(), ["rdv", "rdv.endpoint_strings"])
