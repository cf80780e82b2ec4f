"""
Through an HTTP proxy to the server: tinyproxy, between the commands and a server on this host.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from rdv import Secret
from rdv.client import Client
from tests.documents import REACTOR, Shell, execute, replaced, runs, serve
from tests.processes import Program
from tests.proxies import start_tinyproxy
from tests.servers import DIRECT, MEGABYTE, RELAY, RELAYED, SystemTestCase, noise

PAGE = "docs/howto/proxy.rst"
AT, SERVER = "proxy.example.com:3128", "https://rdv.example.com"
#: The credentials that a proxy requires.
USER, PASSWORD = "user", "Passw0rd"


class HTTPProxyTests(SystemTestCase):
    forked = True

    async def proxy(self, *lines: str) -> None:
        """Start a proxy, which clients use from now on."""
        port = await start_tinyproxy(self, *lines)
        self.at = f"127.0.0.1:{port}"
        self.options: tuple[str, ...] = ("--proxy", f"http://{self.at}")

    async def check_stream(self, path: str, *options: str, accepts: Sequence[str] = ()) -> None:
        """
        A secured one, both ways, to the end.

        :param accepts: how the acceptor reaches the proxy, if not as the dialer.
        """
        there, back = noise(1, 3 * MEGABYTE), noise(2, 2 * MEGABYTE)
        secret = Secret.generate().reveal()
        acceptor = self.accept(*(accepts or self.options), *options, token=secret)
        dialer = self.dial(*self.options, *options, token=secret)
        for client in (acceptor, dialer):
            await client.line(f"^CONNECTED: {path} ")
        dialer.write(there)
        acceptor.write(back)
        self.assertEqual(await acceptor.received(len(there)), there)
        self.assertEqual(await dialer.received(len(back)), back)
        dialer.close_stdin()
        acceptor.close_stdin()
        for client in (dialer, acceptor):
            self.assertEqual(await client.ended, 0, client.report())
            self.assertNotIn(b"missing observed address", client.stderr)

    async def test_relay(self) -> None:
        """To a server that speaks http or https; the other end of the line is the proxy."""
        await self.serve()
        await self.proxy()
        await self.check_stream(f"relay {self.at},", *RELAYED)
        await self.serve_https()
        self.options += self.trust
        await self.check_stream(f"relay {self.at},", *RELAYED)

    async def test_direct(self) -> None:
        """Only the server is behind it."""
        await self.serve()
        await self.proxy()
        await self.check_stream("p2p", *DIRECT)

    async def test_half_close(self) -> None:
        """
        This proxy closes both ways at the first end. A secured stream does not mind, and neither
        does a receiver of a plain one who has nothing to say.
        """
        await self.serve()
        await self.proxy()
        secret = Secret.generate().reveal()
        acceptor = self.accept(*self.options, *RELAYED, token=secret)
        dialer = self.dial(*self.options, *RELAYED, token=secret)
        dialer.write(b"a question")
        dialer.close_stdin()
        await acceptor.received(10)
        answer = noise(3, 2 * MEGABYTE)
        acceptor.write(answer)
        acceptor.close_stdin()
        self.assertEqual(await dialer.ended, 0, dialer.report())
        self.assertTrue(dialer.stdout == answer)
        content = noise(4, 2 * MEGABYTE)
        receiver = self.accept(*self.options, *RELAYED, stdin=self.opened(os.devnull))
        sender = self.dial(*self.options, *RELAYED)
        sender.write(content)
        sender.close_stdin()
        await self.assert_ended(receiver, 0, RELAY)
        self.assertEqual(await sender.ended, 0, sender.report())
        self.assertTrue(receiver.stdout == content)

    async def test_check(self) -> None:
        """``rdv check`` says that there is one, what it does, and that it is not needed."""
        await self.serve()
        await self.proxy()
        program = self.rdv("check", "-r", "--json", "--no-throughput", *self.options, self.url)
        self.assertEqual(await program.ended, 0, program.report())
        told = json.loads(program.stdout)
        self.assertEqual(told["verdict"], "proxied")
        self.assertEqual(told["observations"]["proxy"], f"http://{self.at}")
        self.assertEqual(set(told["observations"]["half_close"].values()), {"both"})
        advice = [each["key"] for each in told["advice"]]
        self.assertEqual(advice, ["without-proxy", "half-close"])

    async def check_refused(self, client: Program, text: str) -> None:
        """It ends, says why in one line, and shows no password."""
        self.assertEqual(await client.ended, 1, client.report())
        said = client.stderr.decode()
        errors = [line for line in said.splitlines() if line.startswith("rdv: ")]
        self.assertEqual(errors, [f"rdv: {text}"])
        self.assertNotIn("Traceback", said)
        self.assertNotIn(PASSWORD, said)

    async def test_password(self) -> None:
        """In the URL or in a file of headers; when it is wrong or missing, that is said."""
        await self.serve()
        proxy = "the proxy http://{}"
        await self.proxy(f"BasicAuth {USER} {PASSWORD}")
        text = f"{proxy.format(self.at)} requires a password: 407 Proxy Authentication Required"
        await self.check_refused(self.dial("-v", *self.options), text)
        file = self.file_of(b"Proxy-Authorization: Basic dXNlcjpQYXNzdzByZA==\n")
        by_header = (*self.options, "--header-file", file)
        self.options = ("--proxy", f"http://{USER}:{PASSWORD}@{self.at}")
        await self.check_stream("relay", *RELAYED, accepts=by_header)
        self.options = ("--proxy", f"http://another:{PASSWORD}@{self.at}")
        wrong = "does not accept this user name and password: 401 Unauthorized"
        text = f"{proxy.format(self.at)} {wrong}"
        await self.check_refused(self.dial("-v", *self.options), text)

    async def test_refusal(self) -> None:
        await self.serve()
        await self.proxy("ConnectPort 443")
        await self.check_refused(
            self.dial(*self.options),
            f"the proxy http://{self.at} refuses to connect to 127.0.0.1:{self.port}: "
            "403 Access violation (many only allow port 443)",
        )

    async def test_unreachable(self) -> None:
        """The server, or the proxy, or what is there is no proxy."""
        await self.proxy()
        self.port = self.taken_port()
        self.url = f"http://127.0.0.1:{self.port}/rdv"
        cannot, proxy = f"cannot reach {self.url}", f"the proxy http://{self.at}"
        text = f"{cannot}: {proxy} could not connect to 127.0.0.1:{self.port}: "
        text += "500 Unable to connect"
        await self.check_refused(self.dial(*self.options), text)
        taken = f"127.0.0.1:{self.taken_port()}"
        text = f"{cannot}: the proxy http://{taken} cannot be reached: connection refused"
        await self.check_refused(self.dial("--proxy", taken), text)
        url = self.url
        await self.serve()
        at, self.url = f"127.0.0.1:{self.port}", url
        client = self.dial("--proxy", at)
        self.assertEqual(await client.ended, 1, client.report())
        self.assertIn(f"the proxy http://{at} refuses to connect to ", client.stderr.decode())


class HowToTests(SystemTestCase):
    """The page about it does what it says."""

    forked = True

    async def check(self, accept: str, *pairs: tuple[str, str]) -> None:
        """A peer without a proxy meets this one."""
        url = serve(self).removesuffix("/rdv")
        command = replaced(accept, (SERVER, url), ("rdv accept", "rdv accept -r"), *pairs)
        acceptor = Shell(self).script(command)
        secret = (await acceptor.line(r"^On the other side.*: rdv dial .*(rdvs1-\S+)"))[1]
        dialer = self.rdv("dial", "-r", url, secret)
        dialer.write(b"hello")
        for program in (acceptor, dialer):
            program.close_stdin()
        for program in (dialer, acceptor):
            self.assertEqual(await program.ended, 0, program.report())
        path = pairs[0][1] if pairs else url.removeprefix("http://")
        self.assertEqual(acceptor.stdout, b"hello")
        self.assertIn(f"CONNECTED: relay {path}, ", acceptor.stderr.decode())

    @runs(PAGE, "export HTTPS_PROXY", "example.com:3128 https:", "echo", "client = ")
    async def test_page(self, environment: str, given: str, header: str, program: str) -> None:
        """The one of the environment is tested where there is no other way (tests.natlab)."""
        await self.check(environment)
        at = f"127.0.0.1:{await start_tinyproxy(self)}"
        await self.check(given, (AT, at))
        at = f"127.0.0.1:{await start_tinyproxy(self, 'BasicAuth user password')}"
        await self.check(header, (AT, at))
        url = serve(self)
        here = await execute(replaced(program, (AT, at)), Client=Client, reactor=REACTOR)
        accepting = here["client"].accept(url, "t")
        dialling = here["client"].dial(url, "t")
        for connection in (await accepting, await dialling):
            self.assertIsNone(connection.observed_address)
            connection.abortConnection()
