"""
``rdv expose`` and ``rdv connect``: data, and what is reported.
"""

from __future__ import annotations

import contextlib
import json
import os

from twisted.internet.defer import Deferred, gatherResults

from tests.forwarding import CONNECTED, ForwardingTestCase
from tests.servers import DIRECT, MEGABYTE, RELAYED, noise
from tests.talker import Talker


class BytesTests(ForwardingTestCase):
    timeout = 240

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
            await program.kill()

    async def test_each_path(self) -> None:
        """Directly, through the relay, and through one where no kernel can help."""
        await self.on_each_path(self.check)

    async def test_unix(self) -> None:
        await self.serve()
        folder = self.folder()
        await self.target(folder / "target")
        exposing = await self.expose()
        connecting = await self.connect(listen=f"unix:{folder}/local")
        await self.check_both_ways(*await self.forward(), noise(1, MEGABYTE), noise(2, MEGABYTE))
        for program in (exposing, connecting):
            await program.line("^" + CONNECTED.format("p2p") + "$")

    async def test_many(self) -> None:
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
        await self.serve()
        await self.target()
        connecting = await self.connect()
        exposing = self.rdv("expose", "-q", *DIRECT, self.url, "a token", self.where)
        await self.check_both_ways(*await self.forward(), b"1", b"2")
        exposing.signal("TERM")
        await self.assert_ended(exposing, 143)
        await connecting.line("CONNECTED")

    async def test_unread(self) -> None:
        """What it has to say to a pipe that nobody reads is skipped; it ends when it is told to."""
        server = await self.serve()
        await self.target()
        arguments = ("expose", "-v", *DIRECT, self.url, "a token", self.where)
        exposing = self.rdv(*arguments, stderr=self.full_pipe())
        await server.line("waiting: acceptor")
        await self.connect()
        await self.check_both_ways(*await self.forward(), b"there", b"back")
        exposing.signal("TERM")
        self.assertEqual(await exposing.ended, 143)

    def full_pipe(self) -> int:
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        self.addCleanup(os.close, write_end)
        os.set_blocking(write_end, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write_end, b"x" * 4096)
        os.set_blocking(write_end, True)
        return write_end


class LossTests(ForwardingTestCase):
    """
    The programs at both ends reset their connections. For those in between, see
    :mod:`tests.test_faults`.
    """

    async def test_reset(self) -> None:
        """The other one sees a reset, and the next forward is well."""
        await self.serve()
        await self.target()
        for number, options in enumerate((DIRECT, RELAYED)):
            await self.expose(*options, token=f"token {number}")
            await self.connect(*options, token=f"token {number}")
            for victim in (0, 1):
                pair = await self.forward()
                there, back = noise(1, MEGABYTE), noise(2, MEGABYTE)
                for talker, words in zip(pair, (there, back), strict=True):
                    talker.write(words)
                for talker, words in zip(pair, (back, there), strict=True):
                    self.assertEqual(await talker.received(len(words)), words)
                pair[victim].transport.abortConnection()
                for talker in pair:
                    await talker.gone()
                    self.assertTrue(talker.is_reset, talker.lost)
                await self.check_both_ways(*await self.forward(), b"new", b"one")
