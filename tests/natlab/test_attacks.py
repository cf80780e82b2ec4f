"""
Strangers between the real commands, and what each of them receives.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from rdv._secure.secret import server_token
from tests import natlab
from tests.natlab.attacks import ATTACKS, BACK, THERE, TWINS, Attack, Goes, Scene, became
from tests.natlab.case import PATIENCE, Case, topology
from tests.natlab.commands import Command
from tests.natlab.model import Box, Site, Topology
from tests.natlab.programs import Server
from tests.natlab.strangers import (
    TROJAN,
    Crossing,
    EvilServer,
    HeldServer,
    Play,
    Stranger,
    Wire,
    confirm,
)

T = TypeVar("T")

#: So far from each other, and from the server, that a stranger nearby is always first.
FAR = natlab.Conditions(dialer=50, acceptor=200, peers=250)
AT_ONCE = 4
#: What a target sends on each connection.
ROW = THERE[:21]
TARGET, LOCAL = 5432, 4000
NOBODY = 65534
SHELL = r"""
exec 3<>/dev/tcp/$1/$2
echo there >&2
IFS= read -r line <&3
echo "$line"
printf "rdv/1 CONFIRM %s\n%s" "${line#*HELLO }" "$3" >&3
cat <&3 2>/dev/null
"""


def at_once(play: Callable[..., T], rows: Iterable[tuple[object, ...]]) -> list[T]:
    """Play rows, some at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda row: play(*row), rows))


class StreamTests(Case):
    """``rdv accept`` and ``rdv dial``."""

    def play(self, attack: Attack, secured: bool) -> tuple[str, ...]:
        with natlab.Lab(attack.plan) as lab:
            scene = Scene(lab, secured, attack.options)
            if attack.plan is TWINS:
                scene.server = HeldServer(lab.server)
            attack.play(scene)
            acceptor = scene.accept()
            dialers = [scene.dial().ended()]
            if secured and len(attack.secured) > len(dialers) + 2:
                for stranger in scene.strangers:
                    if not isinstance(stranger, EvilServer):  # which is honest now
                        stranger.close()
                dialers.append(scene.dial().ended())
            found = [became(acceptor.ended(), THERE, secured)]
            found += [became(dialer, BACK, secured) for dialer in dialers]
            return scene.got(), *found

    def test_each(self) -> None:
        rows = [(attack, secured) for attack in ATTACKS for secured in (False, True)]
        wrong = [
            f"{attack.play.__name__}, {'secured' if secured else 'plain'}: {found}"
            for (attack, secured), found in zip(rows, at_once(self.play, rows), strict=True)
            if found not in ((attack.secured, attack.late) if secured else (attack.plain,))
        ]
        self.assertEqual(wrong, [])


class CrossedTests(Case):
    """A server joins two pairs crosswise, each of which has a token of its own."""

    def play(self, secured: bool) -> None:
        with natlab.Lab(topology()) as lab:
            scenes = [Scene(lab, secured, ("-r",), str(number)) for number in range(2)]
            tokens = [server_token(scene.token) for scene in scenes]
            other = dict(zip(tokens, tokens[::-1], strict=True))
            crossing = Crossing()

            def cross(wire: Wire, dials: bool, token: bytes) -> None:
                def translate(data: bytes) -> bytes:
                    return data.replace(token + b"\r\n", other[token] + b"\r\n")

                crossing.join(wire, other[token] if dials else token, dials, translate)

            EvilServer(lab.server, cross)
            commands = [each for scene in scenes for each in (scene.accept(), scene.dial())]
            ended = [each.ended() for each in commands]
        got = [each.stdout for each in ended]
        self.assertTrue(all(each.is_told(secured) for each in ended), ended)
        wanted = [THERE + b"0", BACK + b"0", THERE + b"1", BACK + b"1"]
        self.assertEqual(got, wanted if secured else [*wanted[2:], *wanted[:2]])

    def test_it(self) -> None:
        at_once(self.play, [(False,), (True,)])


def tell_a_row(wire: Wire) -> None:
    """Be a database."""
    wire.say(ROW)
    wire.end()
    wire.rest()


def hold(wire: Wire) -> None:
    """Take what comes, and say nothing."""
    wire.rest()


class Cotenant:
    """Another user of the acceptor's host, with only a shell."""

    def __init__(self, scene: Scene, port: int) -> None:
        host = scene.lab.acceptor
        argv = ["/bin/bash", "-c", SHELL, "bash", host.addresses[0], str(port), TROJAN.decode()]
        with host.namespace.entered():
            self._process = subprocess.Popen(
                argv,
                user=NOBODY,
                group=NOBODY,
                extra_groups=(),
                cwd="/",
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        assert self._process.stderr is not None
        self._process.stderr.readline()  # it is connected, or has ended

    def close(self) -> list[bytes]:
        """It is gone; what it has got."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        self._process.kill()
        return [self._process.communicate()[0]]


def from_the_lan(scene: Scene, port: int, play: Play, count: int = 1) -> Stranger:
    """A third host there holds connections."""
    stranger = Stranger(scene.lab.neighbours["acceptor"], play)
    for _ in range(count):
        stranger.visit(scene.lab.acceptor.addresses[0], port)
    return stranger


def from_elsewhere(scene: Scene, port: int) -> Stranger:
    """One with another public address; here it is that of the server."""
    stranger = Stranger(scene.lab.server, confirm)
    stranger.visit(scene.lab.acceptor.addresses[0], port)
    return stranger


LAN = topology(acceptor=Site(neighbour=True), shared=(Box(),))
PUBLIC = topology(Site((Box(),)))


@dataclass(frozen=True)
class Visit:
    """
    One row.

    :ivar come: called with the port.
    :ivar plain: what the visitors receive, and whether the peer receives what the target sends.
    :ivar secured: the same.
    """

    come: Callable[[Scene, int], Goes]
    plain: tuple[str, bool]
    secured: tuple[str, bool]
    plan: Topology = LAN


VISITS = (
    Visit(partial(from_the_lan, play=hold, count=20), ("HELLO", True), ("HELLO", True)),
    Visit(partial(from_the_lan, play=confirm), ("HELLO", True), ("HELLO", True)),
    Visit(Cotenant, ("HELLO", True), ("HELLO", True)),
    Visit(from_elsewhere, ("nothing", True), ("nothing", True), PUBLIC),
)


class ExposedTests(Case):
    """
    ``rdv expose`` and ``rdv connect``: others connect to the open port before the peer, which takes
    the longer path through the relay.
    """

    def play(self, plan: Topology, secured: bool) -> None:
        with natlab.Lab(plan, FAR) as lab:
            scene, server = Scene(lab, secured), Server(lab)
            target = Stranger(lab.acceptor, tell_a_row)
            target.listen(TARGET)
            url = (lab.url, scene.token)
            expose = Command(lab.acceptor, "expose", *url, str(TARGET))
            connect = Command(lab.dialer, "connect", "-r", *url, "--listen", str(LOCAL))
            expose.line("^WAITING: ")
            connect.line("^LISTENING: ")
            start = 0
            for each in VISITS:
                if each.plan is plan:
                    self.assertTrue(server.await_acceptor(start, PATIENCE))
                    scene.strangers = [each.come(scene, open_port(lab.acceptor))]
                    start = server.log.mark()
                    told = visit(lab.dialer) == ROW
                    wanted = each.secured if secured else each.plain
                    self.assertEqual((scene.got(), told), wanted, each)
            for command in (expose, connect):
                ended = command.stop()
                self.assertTrue(ended.is_told(secured), ended)

    def test_it(self) -> None:
        at_once(self.play, [(plan, way) for plan in (LAN, PUBLIC) for way in (False, True)])


def open_port(host: natlab.Host) -> int:
    """Where the one who exposes can be reached."""
    listening = host.namespace.run("ss", "-Hltn").splitlines()
    ports = {int(line.split()[3].rpartition(":")[2]) for line in listening} - {TARGET}
    (port,) = ports
    return port


def visit(host: natlab.Host) -> bytes:
    """Connect to the local port there, and read."""
    with host.namespace.entered():
        wire = Wire(socket.create_connection(("127.0.0.1", LOCAL), PATIENCE))
    wire.end()
    return wire.rest()
