"""
``rdv dial`` and ``rdv accept`` between all kinds of stdin and stdout, as a shell creates them.

In a script ``"$@"`` is the command. There are the files ``content`` and ``answer``, and a ``fifo``;
the output is in ``received``, or ``heard``, or otherwise on stdout.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from rdv import Secret
from tests.processes import PYTHON, ROOT, Program
from tests.secure import STEADY, secured
from tests.servers import BROKEN, DIRECT, MEGABYTE, P2P, RELAY, RELAYED, SystemTestCase, noise

#: The contents of the files: so much that the kernel moves most of it, and a little.
MUCH, ANSWER = noise(1, 9 * MEGABYTE), noise(2, 7 * MEGABYTE)
FEW = MUCH[:100_000]
#: Seconds in which each stream ends, while others use the machine, too.
PATIENCE = 60.0
AT_ONCE = 4
PEER = "the stream broke: the peer broke the connection(, or the relay did)?"
#: Paths from one to the other: the options of the clients, and what they report.
WAYS = {
    "direct": (DIRECT, P2P),
    "relayed": (RELAYED, RELAY),
    "tls": (RELAYED, RELAY),
    "secured": (STEADY, secured("p2p")),
    "secured, relayed": (RELAYED, secured("relay")),
}
EACH = tuple(WAYS)
#: Where the kernel moves the bytes, and where it cannot.
PLAIN_AND_SECURED = ("direct", "relayed", "secured")


@dataclass(frozen=True)
class Stream:
    """
    One row.

    :ivar accept: the acceptor's script.
    :ivar dial: the dialer's.
    :ivar ways: its paths, by their names in :data:`WAYS`.
    :ivar typed: what arrives on the dialer's own stdin, which stays open.
    :ivar content: what is in the dialer's file.
    :ivar received: what the acceptor has in the end; None if that varies.
    :ivar heard: what the dialer has.
    :ivar breaks: how each reports that the stream broke, the acceptor first.
    :ivar unheard: their messages cannot be read.
    """

    accept: str
    dial: str
    ways: Sequence[str] = ("direct",)
    typed: bytes = b""
    content: bytes = MUCH
    received: bytes | None = MUCH
    heard: bytes = b""
    breaks: tuple[str, ...] = ()
    unheard: bool = False


def broken(
    accept: str, dial: str, *ways: str, by: str, typed: bytes = b"", content: bytes = MUCH
) -> Stream:
    """One that breaks, because of the acceptor, who says why."""
    breaks = (f"the stream broke: {by}", PEER)
    ways = ways or ("direct",)
    return Stream(accept, dial, ways, typed, content, received=None, breaks=breaks)


FILE = 'exec "$@" <content'
RECEIVE = 'exec "$@" </dev/null >received'

FILES = {
    "both ways": Stream(
        'exec "$@" <answer >received', 'exec "$@" <content >heard', EACH, heard=ANSWER
    ),
    "an acceptor without an stdin, whose end is no end for it": Stream(RECEIVE, FILE, EACH),
    # It takes ten seconds of silence to be sure.
    "nothing on either side": Stream(RECEIVE, 'exec "$@" </dev/null >heard', received=b""),
    "a closed stdin": Stream('exec "$@" <&- >received', FILE),
    "an stdin that can only be written to": Stream(
        'exec "$@" 0>other >received', FILE, ("direct", "relayed"), content=FEW, received=FEW
    ),
    "a pipe that is stdout as well": Stream('exec "$@" 0>&1', FILE),
    "-n: an stdin that need not end": Stream(
        'exec "$@" <answer', 'exec "$@" -n >heard', received=b"", heard=ANSWER
    ),
    "the rest of a file, between other lines": Stream(
        '{ echo first; "$@" && echo last; } </dev/null >received',
        # head reads ahead; dd does not.
        '{ dd bs=10 count=1 status=none >other; exec "$@"; } <content',
        received=b"first\n" + MUCH[10:] + b"last\n",
    ),
    # Another process may append to the same file, and the kernel cannot splice to it.
    "appended": Stream(
        'echo first >received; exec "$@" </dev/null >>received', FILE, received=b"first\n" + MUCH
    ),
}
PIPES = {
    "pipes": Stream(
        'exec "$@" </dev/null > >(cat >received)',
        'exec "$@" < <(cat content)',
        PLAIN_AND_SECURED,
    ),
    "pipes with a name": Stream(
        'cat fifo >received & exec "$@" </dev/null >fifo',
        'cat content >fifo & exec "$@" <fifo',
    ),
    # A descriptor that another program has made non-blocking.
    "a pipe that the acceptor opens to read and write": Stream(
        'cat fifo >received & exec "$@" </dev/null 1<>fifo', FILE
    ),
}
UNHEARD = {
    f"stderr is {name}": Stream(
        f'exec "$@" -v <answer >received {where}',
        f'exec "$@" <content >heard {where}',
        ("relayed",),
        heard=ANSWER,
        unheard=True,
    )
    for name, where in (("closed", "2>&-"), ("full", "2>/dev/full"))
}
FAILURES = {
    # There is no memory at its beginning. A read error must not look like an empty file.
    "unreadable": Stream(
        RECEIVE,
        'exec "$@" </proc/$PPID/mem',
        received=b"",
        breaks=(BROKEN, "the stream broke: .*input/output error"),
    ),
    "a full device": broken(
        'exec "$@" </dev/null >/dev/full',
        FILE,
        *EACH,
        by="cannot write .*: no space left on device",
        content=b"x",
    ),
    # Less than the systems' buffers on the path hold, and more than the disk has room for.
    "a limit to the size of a file": broken(
        f"ulimit -f 1024; {RECEIVE}",
        FILE,
        *PLAIN_AND_SECURED,
        by="cannot write .*file too large",
        content=MUCH[:3_300_000],
    ),
    "a reader who leaves": broken(
        'exec "$@" > >(head -c 1 >received)',
        'exec "$@" </dev/zero',
        *PLAIN_AND_SECURED,
        by=".*broken pipe",
    ),
    # Not only at the next byte, which may never come.
    "a reader who leaves in silence": broken(
        'exec "$@" > >(head -c 1 >received)',
        'exec "$@"',
        *("direct", "secured"),
        by=".*broken pipe",
        typed=b"x",
    ),
    # A little more than a pipe holds, so that the rest waits in the process, and was sent long ago.
    "a reader who leaves before it has everything": broken(
        'exec "$@" </dev/null > >(head -c 1 >received)', FILE, by=".*broken pipe", content=FEW
    ),
}


class RowTests(SystemTestCase):
    """The tables, some rows at once."""

    timeout = 240

    async def check_all(self, rows: dict[str, Stream]) -> None:
        """Play all of them, on each of their ways, at servers that they share."""
        servers = {}
        for serve, ways in ((self.serve_https, ["tls"]), (self.serve, set(EACH) - {"tls"})):
            await serve()
            servers.update(dict.fromkeys(ways, self.url))
        at_once = DeferredSemaphore(AT_ONCE)
        cases = [(name, way) for name, row in rows.items() for way in row.ways]
        found = await gatherResults(
            [at_once.run(self.begin, rows[name], servers[way], name, way) for name, way in cases]
        )
        if wrong := [said for said in found if said]:
            self.fail("\n".join([f"{len(wrong)} of {len(cases)}", *wrong]))

    def begin(self, row: Stream, url: str, name: str, way: str) -> Deferred[str]:
        """Play one; what is wrong with it."""
        playing = Deferred.fromCoroutine(self.play(row, url, way))
        playing.addTimeout(PATIENCE, reactor)
        return playing.addCallbacks(
            lambda _: "", lambda failure: f"{name} ({way}): {failure.getBriefTraceback()}"
        )

    async def play(self, row: Stream, url: str, way: str) -> None:
        """To its end."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "content").write_bytes(row.content)
        (folder / "answer").write_bytes(ANSWER)
        token = Secret.generate().reveal() if way.startswith("secured") else str(folder)
        options, said = WAYS[way]
        if way == "tls":
            options += self.trust

        def start(role: str, script: str) -> Program:
            place = folder / role
            place.mkdir()
            os.mkfifo(place / "fifo")
            for name in ("content", "answer"):
                (place / name).symlink_to(folder / name)
            command = (PYTHON, "-m", "rdv", role, *options, url, token)
            environment = {"PYTHONPATH": str(ROOT)}
            return Program(
                self, "/bin/bash", "-c", script, "bash", *command, env=environment, cwd=place
            )

        acceptor, dialer = start("accept", row.accept), start("dial", row.dial)
        if row.typed:
            dialer.write(row.typed)
        status = 3 if row.breaks else 0
        for program, why in zip((acceptor, dialer), row.breaks or ("", ""), strict=True):
            lines = [] if row.unheard else [said, *filter(None, [why])]
            await self.assert_ended(program, status, *lines)
        for program, name, wanted in (
            (acceptor, "accept/received", row.received),
            (dialer, "dial/heard", row.heard),
        ):
            path = folder / name
            got = path.read_bytes() if path.exists() else bytes(program.stdout)
            if wanted is not None and got != wanted:
                raise AssertionError(f"{name}: {len(got)} bytes, not as wanted")

    async def test_files(self) -> None:
        await self.check_all(FILES)

    async def test_pipes(self) -> None:
        await self.check_all(PIPES)

    async def test_unheard(self) -> None:
        """Streams work all the same when there is nobody to talk to."""
        await self.check_all(UNHEARD)

    async def test_failures(self) -> None:
        """What cannot be read or written breaks the stream for both sides."""
        await self.check_all(FAILURES)
