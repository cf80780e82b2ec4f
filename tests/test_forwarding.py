"""
``rdv expose`` and ``rdv connect``: bytes, and what is said of them.
"""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred, gatherResults

from rdv.test.certificates import Authority
from tests.forwarding import CONNECTED, ForwardingTestCase, Talker
from tests.servers import DIRECT, MEGABYTE, RELAYED, noise


class BytesTests(ForwardingTestCase):
    """They arrive."""

    async def check(self, path: str, *options: str, size: int = 3 * MEGABYTE) -> None:
        """One forward, and what both sides say of it."""
        exposing = await self.expose("-v", *options)
        connecting = await self.connect("-v", *options)
        local, visitor = await self.forward()
        there, back = noise(1, size), noise(2, size // 2)
        await self.check_both_ways(local, visitor, there, back)
        sent, received = len(there) + len(b"the end"), len(back) + len(b"more")
        await connecting.line(rf"^ENDED 1: {sent} bytes sent, {received} received$")
        await exposing.line(rf"^ENDED 1: {received} bytes sent, {sent} received$")
        for program in (exposing, connecting):
            await program.line("^" + CONNECTED.format(path) + "$")

    async def test_direct(self) -> None:
        """Directly."""
        await self.serve()
        await self.target()
        await self.check("p2p", *DIRECT)

    async def test_relayed(self) -> None:
        """Through the relay."""
        await self.serve()
        await self.target()
        await self.check("relay", *RELAYED)

    async def test_relayed_under_tls(self) -> None:
        """Through a relay where no kernel can help."""
        authority = Authority()
        pem = self.file_of(authority.issue("127.0.0.1"))
        listen = f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}"
        await self.serve(listen=listen)
        self.url = f"https://127.0.0.1:{self.port}/rdv"
        await self.target()
        await self.check("relay", *RELAYED, "--ca", self.file_of(authority.pem))

    async def test_unix(self) -> None:
        """Between two Unix sockets."""
        await self.serve()
        folder = self.folder()
        await self.target(folder / "target")
        exposing = await self.expose()
        connecting = await self.connect(listen=f"unix:{folder}/local")
        await self.check_both_ways(*await self.forward(), noise(1, MEGABYTE), noise(2, MEGABYTE))
        for program in (exposing, connecting):
            await program.line("^" + CONNECTED.format("p2p") + "$")

    async def test_many(self) -> None:
        """Several at once do not get mixed up."""
        await self.serve()
        await self.target()
        exposing = await self.expose()
        connecting = await self.connect()

        async def talk(number: int) -> None:
            local = await self.visit()
            content = noise(number, MEGABYTE // 4)
            local.write(content)
            local.end()
            self.assertEqual(await local.ended(), content[::-1])

        async def answer(visitor: Talker) -> None:
            visitor.write((await visitor.ended())[::-1])
            visitor.end()

        async def answer_all(number: int) -> None:
            await gatherResults(
                [Deferred.fromCoroutine(answer(await self.visitors.get())) for _ in range(number)]
            )

        talks = [Deferred.fromCoroutine(talk(number)) for number in range(12)]
        await answer_all(12)
        await gatherResults(talks)
        for program in (exposing, connecting):
            self.assertEqual(program.stderr.count(b"CONNECTED "), 12, program.report())

    async def test_many_dialers(self) -> None:
        """Those that throw each other out of the lobby get through all the same."""
        await self.serve()
        await self.target()
        dialers = [self.dial("--json", *DIRECT) for _ in range(6)]
        for number, dialer in enumerate(dialers):
            dialer.write(b"%d" % number)
            dialer.close_stdin()
            await dialer.line('"lobby"')
        await self.expose()
        for _ in dialers:
            visitor = await self.visitors.get()
            visitor.write(await visitor.ended() * 3)
            visitor.end()
        for number, dialer in enumerate(dialers):
            self.assertEqual(await dialer.ended, 0, dialer.report())
            self.assertEqual(dialer.stdout, b"%d" % number * 3)

    async def test_target_speaks_first(self) -> None:
        """A connection on which the local program says nothing is none the less made."""
        await self.serve()
        await self.target()
        await self.expose()
        await self.connect()
        local, visitor = await self.forward()
        visitor.write(b"220 welcome")
        self.assertEqual(await local.received(11), b"220 welcome")

    async def test_dial_and_accept(self) -> None:
        """The streams of the other commands will do as peers; what they say is only data."""
        await self.serve()
        await self.target()
        await self.expose()
        dialer = self.dial(*DIRECT)
        request = b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n"
        dialer.write(request)
        visitor = await self.visitors.get()
        self.assertEqual(await visitor.received(len(request)), request)
        visitor.write(b"no")
        visitor.end()
        await dialer.received(2)
        dialer.close_stdin()
        self.assertEqual(await dialer.ended, 0, dialer.report())

        acceptor = self.accept(*DIRECT, token="another")
        await self.connect(token="another")
        local = await self.visit()
        local.write(b"hello")
        local.end()
        self.assertEqual(await acceptor.received(5), b"hello")
        acceptor.close_stdin()
        await local.ended()
        self.assertEqual(await acceptor.ended, 0, acceptor.report())

    async def test_json(self) -> None:
        """A program is told, too."""
        await self.serve()
        await self.target()
        exposing = self.rdv("expose", "--json", *DIRECT, self.url, "a token", self.where)
        await exposing.line('"waiting"')
        connecting = self.rdv("connect", "--json", *DIRECT, self.url, "a token", "-l", "0")
        listening = await connecting.line('"listening"')
        self.listening = json.loads(listening.string)["address"]
        await self.check_both_ways(*await self.forward(), b"1234", b"12")
        for program, sent, received in ((exposing, 6, 11), (connecting, 11, 6)):
            ended = json.loads((await program.line('"ended"')).string)
            self.assertEqual((ended["sent"], ended["received"]), (sent, received))
            self.assertEqual((ended["forward"], ended["broken"]), (1, None))
            connected = json.loads((await program.line('"connected"')).string)
            self.assertEqual((connected["forward"], connected["path"]), (1, "p2p"))

    async def test_quiet(self) -> None:
        """Or nobody."""
        await self.serve()
        await self.target()
        connecting = await self.connect()
        exposing = self.rdv("expose", "-q", *DIRECT, self.url, "a token", self.where)
        await self.check_both_ways(*await self.forward(), b"1", b"2")
        exposing.signal("TERM")
        await self.assert_ended(exposing, 143)
        await connecting.line("CONNECTED")
