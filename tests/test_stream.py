"""
``rdv dial`` and ``rdv accept`` between files, pipes and what else stdin and stdout can be.
"""

from __future__ import annotations

import os

from tests.processes import PYTHON, Program
from tests.servers import (
    CONNECTED,
    DIRECT,
    MEGABYTE,
    RELAYED,
    SystemTestCase,
    digest,
    noise,
)

P2P, RELAY = CONNECTED.format("p2p"), CONNECTED.format("relay")
BROKEN = "the stream broke: .+"


class FileTests(SystemTestCase):
    """Whole files, compared with what was sent."""

    async def check_both_ways(self, said: str, *options: str) -> None:
        """Files from and to both sides at once."""
        await self.serve()
        sent = [self.file_of(noise(seed, size * MEGABYTE)) for seed, size in ((1, 9), (2, 7))]
        received = [self.created(), self.created()]
        clients = [
            start(*options, stdin=self.opened(source), stdout=target)
            for start, source, (_, target) in zip(
                (self.dial, self.accept), sent, received, strict=True
            )
        ]
        for client in clients:
            await self.assert_ended(client, 0, said)
        self.assertEqual(digest(received[0][0]), digest(sent[1]))
        self.assertEqual(digest(received[1][0]), digest(sent[0]))

    async def test_both_ways_direct(self) -> None:
        """Directly."""
        await self.check_both_ways(P2P, *DIRECT)

    async def test_both_ways_relayed(self) -> None:
        """Through the relay."""
        await self.check_both_ways(RELAY, *RELAYED)

    async def check_null(self, said: str, *options: str) -> None:
        """``rdv accept </dev/null >file`` gets the whole file: its own end is no end for it."""
        await self.serve()
        source = self.file_of(noise(3, 5 * MEGABYTE))
        path, target = self.created()
        acceptor = self.accept(*options, stdin=self.opened(os.devnull), stdout=target)
        dialer = self.dial(*options, stdin=self.opened(source))
        await self.assert_ended(acceptor, 0, said)
        await self.assert_ended(dialer, 0, said)
        self.assertEqual(digest(path), digest(source))
        self.assertEqual(dialer.stdout, b"")

    async def test_null_direct(self) -> None:
        """Directly."""
        await self.check_null(P2P, *DIRECT)

    async def test_null_relayed(self) -> None:
        """Through the relay."""
        await self.check_null(RELAY, *RELAYED)

    async def test_nothing(self) -> None:
        """Two that have nothing to say end well."""
        await self.serve()
        null = self.opened(os.devnull)
        clients = [self.accept(*DIRECT, stdin=null), self.dial(*DIRECT, stdin=null)]
        for client in clients:
            await self.assert_ended(client, 0, P2P)
            self.assertEqual(client.stdout, b"")

    async def test_closed_stdin(self) -> None:
        """``<&-`` is as good as /dev/null."""
        await self.serve()
        source = self.file_of(noise(4, MEGABYTE))
        command = ("-m", "rdv", "accept", *DIRECT, self.url, "a token")
        acceptor = Program(self, "/bin/sh", "-c", 'exec "$@" <&-', "sh", PYTHON, *command)
        dialer = self.dial(*DIRECT, stdin=self.opened(source))
        await self.assert_ended(acceptor, 0, P2P)
        await self.assert_ended(dialer, 0, P2P)
        self.assertEqual(acceptor.stdout, noise(4, MEGABYTE))

    async def test_unreadable(self) -> None:
        """What cannot be read is not sent as nothing."""
        await self.serve()
        acceptor = self.accept(*DIRECT)
        # There is no memory at its beginning.
        dialer = self.dial(*DIRECT, stdin=self.opened("/proc/self/mem"))
        await self.assert_ended(dialer, 3, P2P, "the stream broke: .*input/output error")
        await self.assert_ended(acceptor, 3, P2P, BROKEN)

    async def test_full_disk(self) -> None:
        """What cannot be written breaks the stream for both sides."""
        await self.serve()
        full = self.opened("/dev/full", os.O_WRONLY)
        acceptor = self.accept(*DIRECT, stdin=self.opened(os.devnull), stdout=full)
        dialer = self.dial(*DIRECT)
        dialer.write(b"anything")
        await self.assert_ended(acceptor, 3, P2P, "the stream broke: .*no space left on device")
        await self.assert_ended(dialer, 3, P2P, BROKEN)


class PipeTests(SystemTestCase):
    """Streams without a known end."""

    async def check_both_ways(self, path: str, *options: str) -> None:
        """Much both ways at once, then the end of one way, then more the other way."""
        await self.serve()
        there, back = noise(5, 4 * MEGABYTE), noise(6, 3 * MEGABYTE)
        acceptor, dialer = self.accept(*options), self.dial(*options)
        dialer.write(there)
        acceptor.write(back)
        self.assertEqual(await acceptor.received(len(there)), there)
        self.assertEqual(await dialer.received(len(back)), back)
        await self.check_goes_on(dialer, acceptor)
        for client in (acceptor, dialer):
            await self.assert_ended(client, 0, CONNECTED.format(path))
        self.assertEqual(acceptor.stdout, there + b"the end")
        self.assertEqual(dialer.stdout, back + b"more")

    async def check_goes_on(self, early: Program, late: Program) -> None:
        """One direction ends; the other one does not."""
        early.write(b"the end")
        early.close_stdin()
        # A pipe of its own says when the end has come through.
        await late.received(len(late.stdout) + len(b"the end"))
        late.write(b"more")
        await early.received(len(early.stdout) + len(b"more"))
        late.close_stdin()

    async def test_both_ways_direct(self) -> None:
        """Directly."""
        await self.check_both_ways("p2p", *DIRECT)

    async def test_both_ways_relayed(self) -> None:
        """Through the relay."""
        await self.check_both_ways("relay", *RELAYED)

    async def test_end_reaches_reader_direct(self) -> None:
        """Directly."""
        await self.serve()
        await self.check_end_reaches_reader(P2P, *DIRECT)

    async def test_end_reaches_reader_relayed(self) -> None:
        """Through the relay."""
        await self.serve()
        await self.check_end_reaches_reader(RELAY, *RELAYED)

    async def check_reader_leaves(self, sends_on: bool, *options: str) -> None:
        """The reader of the acceptor's stdout closes it."""
        await self.serve()
        said = RELAY if options == RELAYED else P2P
        reader, writer = os.pipe()
        acceptor = self.accept(*options, stdout=writer)
        os.close(writer)
        dialer = self.dial(*options, stdin=self.opened("/dev/zero") if sends_on else None)
        dialer.write(b"x")
        # One byte is there: the stream runs.
        head = Program(self, "/usr/bin/head", "-c", "1", stdin=reader)
        os.close(reader)
        await self.assert_ended(head, 0)
        await self.assert_ended(acceptor, 3, said, "the stream broke: .*broken pipe")
        await self.assert_ended(dialer, 3, said, BROKEN)

    async def test_reader_leaves(self) -> None:
        """Both end with an error, and neither with a traceback."""
        await self.check_reader_leaves(True, *DIRECT)

    async def test_reader_leaves_relayed(self) -> None:
        """As well through the relay."""
        await self.check_reader_leaves(True, *RELAYED)

    async def test_reader_leaves_in_silence(self) -> None:
        """Not only at the next byte, which may never come."""
        await self.check_reader_leaves(False, *DIRECT)

    async def test_reader_leaves_before_it_has_everything(self) -> None:
        """The sender hears of it, though it has long sent the last byte."""
        await self.serve()
        reader, writer = os.pipe()
        acceptor = self.accept(*DIRECT, stdin=self.opened(os.devnull), stdout=writer)
        os.close(writer)
        # More than a pipe holds, and so little that the rest waits in the process.
        dialer = self.dial(*DIRECT, stdin=self.opened(self.file_of(noise(7, 100_000))))
        await self.connected("p2p", dialer)
        head = Program(self, "/usr/bin/head", "-c", "1", stdin=reader)
        os.close(reader)
        await self.assert_ended(head, 0)
        await self.assert_ended(acceptor, 3, P2P, "the stream broke: .*broken pipe")
        await self.assert_ended(dialer, 3, P2P, BROKEN)

    async def test_pipes_stay_as_they_were(self) -> None:
        """Others may use the same pipe: it must not be left non-blocking."""
        await self.serve()
        stdin, source = os.pipe()
        target, stdout = os.pipe()
        for fd in (stdin, source, target, stdout):
            self.addCleanup(os.close, fd)
        acceptor = self.accept(*DIRECT, stdin=stdin, stdout=stdout)
        dialer = self.dial(*DIRECT, stdin=self.opened(os.devnull))
        await self.connected("p2p", acceptor, dialer)
        acceptor.signal("INT")
        self.assertEqual(await acceptor.ended, 130)
        self.assertEqual((os.get_blocking(stdin), os.get_blocking(stdout)), (True, True))
