"""
``docs/howto/web.rst`` does what it says.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import Application, IService
from twisted.internet.endpoints import clientFromString
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, readBody
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.static import Data
from zope.interface import implementer

from rdv import Secret
from tests.documents import REACTOR, Shell, execute, replaced, runs, serve

WEB = "docs/howto/web.rst"
HERE = r"http\://127.0.0.1\:8080"


def described(url: str) -> str:
    """The URL as it stands in a description, and how peers on one host find each other."""
    return url.replace(":", r"\:") + ":spaces=loopback"


class ShellTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.shell = Shell(self)
        public = self.shell.folder / "public"
        public.mkdir()
        (public / "notes.txt").write_text("hello\n")

    @runs(WEB, "rdv token", "tokenFile=web.secret' --path", "web_client.py", "/notes.txt: 200")
    async def test_twist_web(self, token: str, serving: str, asking: str, output: str) -> None:
        """A folder, from which a client gets a file; the secret is in another one."""
        made = self.shell.script(token)
        self.assertEqual(await made.ended, 0, made.report())
        here = described(serve(self)) + ":secure=yes"
        server = self.shell.start(replaced(serving, (HERE, here)))
        client = self.shell.start(replaced(asking, (HERE, here)))
        self.assertEqual(await client.ended, 0, client.report() + server.report())
        self.assertEqual(client.stdout.decode().strip(), output)
        server.signal("TERM")
        await server.ended


@implementer(IAgentEndpointFactory)
class Always:
    def __init__(self, description: str) -> None:
        self.endpoint = clientFromString(REACTOR, description)

    def endpointForURI(self, uri: object) -> Any:
        return self.endpoint


class PythonTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.root = Resource()
        self.root.putChild(b"notes.txt", Data(b"hello", "text/plain"))
        description = f"rdv:{described(serve(self))}:token={Secret.generate().reveal()}"
        self.names = {"reactor": REACTOR, "root": self.root, "description": description}

    async def get(self) -> bytes:
        agent = Agent.usingEndpointFactory(REACTOR, Always(str(self.names["description"])))
        response = await agent.request(b"GET", b"http://the-peer/notes.txt")
        body: bytes = await readBody(response)
        return body

    @runs(WEB, "await port.waiting", "class Always")
    async def test_own_site(self, serving: str, asking: str) -> None:
        """A site in a program, and treq in another."""
        port = (await execute(serving, **self.names))["port"]
        self.addCleanup(port.stopListening)
        names = await execute(asking, **self.names)
        await names["pool"].closeCachedConnections()
        self.assertEqual(names["text"], "hello")

    @runs(WEB, "setServiceParent(application)")
    async def test_service(self, serving: str) -> None:
        """A service listens as long as it runs."""
        application = Application("web")
        await execute(serving, application=application, **self.names)
        service: Any = IService(application)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        self.assertEqual(await self.get(), b"hello")
