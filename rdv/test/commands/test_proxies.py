"""
Tests of :mod:`rdv.commands.proxies`.
"""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console, Form
from rdv.commands import check
from rdv.commands.arguments import parse
from rdv.commands.client import client_of
from rdv.commands.proxies import proxy_for, proxy_for_all
from rdv.commands.running import BadUsage
from rdv.errors import BadURL
from rdv.test.client.doubles import ClientReactor
from rdv.test.commands.test_client import COMMANDS

HTTP, HTTPS = "http://plain:1", "http://x:y@secure:2"


class EnvironmentTests(SynchronousTestCase):
    """Proxies from the environment."""

    def proxy(self, url: str, given: str | None = None, **environment: str) -> str | None:
        self.patch(os, "environ", environment)
        return proxy_for(url, given)

    def test_scheme(self) -> None:
        """Each has its own; lower case counts more, and what is empty is none."""
        both = {"HTTP_PROXY": HTTP, "HTTPS_PROXY": HTTPS}
        for url, environment, expected in (
            ("http://server.example/", both, HTTP),
            ("HTTPS://server.example/", both, HTTPS),
            ("http://server.example/", {"HTTPS_PROXY": HTTPS}, None),
            ("https://server.example/", {"HTTP_PROXY": HTTP}, None),
            ("https://server.example/", {"https_proxy": HTTP, "HTTPS_PROXY": HTTPS}, HTTP),
            ("https://server.example/", {"https_proxy": "", "HTTPS_PROXY": HTTPS}, None),
            ("https://server.example/", {}, None),
        ):
            self.assertEqual(self.proxy(url, **environment), expected)

    def test_this_host(self) -> None:
        """A proxy cannot know what is meant by it."""
        for host in ("localhost", "LOCALHOST:8080", "127.0.0.1", "127.1.2.3", "[::1]:8080"):
            self.assertIsNone(self.proxy(f"http://{host}/", http_proxy=HTTP))

    def test_exceptions(self) -> None:
        for host, exceptions, excepted in (
            ("server.example", "*", True),
            ("192.0.2.80", "*", True),
            ("server.example", "server.example", True),
            ("server.example", "a.example, Server.Example", True),
            ("server.example", "example", True),
            ("server.example", ".example", True),
            ("server.example", "*.example", True),
            ("Server.Example.", ".example", True),
            ("server.example", "ver.example", False),
            ("server.example", "other.server.example", False),
            ("server.example", "", False),
            ("server.example", ",, .", False),
            ("server.example:8080", "server.example:8080", True),
            ("server.example:8080", "server.example:80", False),
            ("server.example", "server.example:80", True),
            ("192.0.2.80", "192.0.2.80", True),
            ("192.0.2.80:8080", "192.0.2.80:8080", True),
            ("192.0.2.80", "192.0.2.0/24", True),
            ("192.0.2.80", "192.0.3.0/24,10.0.0.0/8", False),
            ("192.0.2.80", "2.80", False),
            ("[2001:db8::80]", "2001:db8::/32", True),
            ("[2001:db8::80]:8080", "[2001:db8::80]:8080", True),
            ("[2001:db8::8080]:8080", "2001:db8::8080", True),
            ("[2001:db8::80]", "2001:db9::/32", False),
        ):
            for name in ("no_proxy", "NO_PROXY"):
                found = self.proxy(f"http://{host}/", http_proxy=HTTP, **{name: exceptions})
                self.assertEqual(found is None, excepted, (host, exceptions))

    def test_command_line_first(self) -> None:
        """It means what it says, whatever the server is; empty, it means none."""
        environment = {"http_proxy": HTTP, "no_proxy": "*"}
        for url in ("http://server.example/", "http://127.0.0.1/"):
            self.assertEqual(self.proxy(url, "proxy:3128", **environment), "proxy:3128")
        self.assertIsNone(self.proxy("http://server.example/", "", http_proxy=HTTP))

    def test_several_servers(self) -> None:
        """They have the same, or it has to be said."""
        same, other = "http://a.example,http://b.example", "http://a.example,https://b.example"
        self.patch(os, "environ", {"http_proxy": HTTP, "no_proxy": "c.example"})
        self.assertEqual(proxy_for_all(same, None), HTTP)
        self.assertEqual(proxy_for_all(other, HTTPS), HTTPS)
        for differ in (other, f"{same},http://c.example"):
            error = self.assertRaises(BadUsage, proxy_for_all, differ, None)
            self.assertIn("give --proxy", str(error))

    def test_nonsense(self) -> None:
        """The error says where it is, and not what."""
        url = "https://server.example/"
        for given, environment, text in (
            ("ftp://x:y@z", {}, "--proxy: not http://[USER:PASSWORD@]HOST:PORT"),
            (None, {"HTTPS_PROXY": "x:y"}, "https_proxy: not http://[USER:PASSWORD@]HOST:PORT"),
            (
                None,
                {"https_proxy": "socks5://z:1080"},
                "https_proxy: only http:// proxies are supported, not socks5://",
            ),
        ):
            self.patch(os, "environ", environment)
            error = self.assertRaises(BadUsage, proxy_for, url, given)
            self.assertEqual(str(error), text)
        self.assertRaises(BadURL, proxy_for, "ftp://server.example/", None)

    def test_own_server(self) -> None:
        """That of a check without a URL."""
        self.assertIsNone(proxy_for(None, HTTP))


class CommandTests(SynchronousTestCase):
    """The clients of the commands."""

    def test_used(self) -> None:
        self.patch(os, "environ", {"http_proxy": HTTP})
        for options, expected in (((), HTTP), (("--proxy", "p:3"), "http://p:3")):
            for command in COMMANDS:
                if command[0] != "check":
                    client = client_of(ClientReactor(), parse([*command, *options]))
                    self.assertEqual(str(client._shared.settings.proxy), expected)
            self.assertEqual(self.checked(*options), expected)

    def checked(self, *options: str) -> str | None:
        """The proxy through which a server is checked."""
        arguments = parse(["check", "--timeout", "0", "http://192.0.2.80/", *options])
        checking = check._check(ClientReactor(), arguments, Console(Form.QUIET))
        return self.successResultOf(Deferred.fromCoroutine(checking)).proxy
