"""
The attacks on a pair, and the result of each: the table of the page on security.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Queue
from typing import Protocol

from rdv import Secret
from tests.natlab.case import PATIENCE, topology
from tests.natlab.commands import Command, Ended
from tests.natlab.lab import Lab
from tests.natlab.model import Box, Site, Topology
from tests.natlab.strangers import (
    TROJAN,
    Crossing,
    EvilServer,
    HeldServer,
    Stranger,
    Wire,
    confirm,
    pose,
)

__all__ = ["ATTACKS", "BACK", "THERE", "TWINS", "Attack", "Goes", "Scene", "became"]

#: What the peers send to each other.
THERE, BACK = b"what the dialer says\n" * 2000, b"what the acceptor says\n" * 2000
#: Bytes of a message in the handshake of a secured stream.
MESSAGE_SIZE = 72
#: Two homes with the same private network. In each, another host has the address of the peer in the
#: other home.
HOME = Site((Box(),), neighbour=True)
TWINS = topology(HOME, HOME, twins=True)


class Goes(Protocol):
    """Any kind of stranger."""

    def close(self) -> list[bytes]:
        """It is gone; what it has got, on each connection."""


class Scene:
    """
    One attack on one pair.

    :param options: for both commands.
    :param name: the suffix of what its peers send and of a plain token, if there are several
        scenes.
    :ivar behind: how many bytes of a handshake follow its lines.
    """

    def __init__(
        self, lab: Lab, secured: bool, options: Sequence[str] = (), name: str = ""
    ) -> None:
        self.lab = lab
        self._options = options
        self._name = name
        self.secured = secured
        self.behind = MESSAGE_SIZE if secured else 0
        self.token = Secret.generate().reveal() if secured else f"a token nobody guesses{name}"
        self.server: HeldServer | None = None  # an honest one
        self.strangers: list[Goes] = []

    def accept(self) -> Command:
        """Start an acceptor, and let it come to the server."""
        acceptor = self._command("accept", BACK)
        if self.server:
            self.server.await_acceptor()
        return acceptor

    def dial(self) -> Command:
        """Start a dialer."""
        return self._command("dial", THERE)

    def _command(self, name: str, stdin: bytes) -> Command:
        host = self.lab.dialer if name == "dial" else self.lab.acceptor
        stdin += self._name.encode()
        return Command(host, name, *self._options, self.lab.url, self.token, stdin=stdin)

    def release(self) -> None:
        """The relay is there, at last."""
        if self.server:
            self.server.release()

    def neighbour(self, of: str, play: Callable[[Wire], object]) -> Stranger:
        """Let a peer's neighbour wait for connections. It is always faster than the relay."""

        def play_first(wire: Wire) -> None:
            play(wire)
            self.release()

        stranger = Stranger(self.lab.neighbours[of], play_first)
        stranger.listen()
        self.strangers.append(stranger)
        return stranger

    def repeat(self, wire: Wire, hello: bytes) -> None:
        """Pose as the acceptor who has said this."""
        if self.secured:  # nothing may follow it
            wire.say(hello)
            wire.until(b"\r\n", self.behind)
            self.release()  # the dialer only trusts a path that the relay confirms
            wire.rest()
        else:
            pose(wire, hello)

    def got(self) -> str:
        """The most that a stranger has got; they are gone then."""
        heard = [each for stranger in self.strangers for each in stranger.close()]
        line, other = THERE[:20], BACK[:20]
        for what, is_there in (
            ("the stream", lambda text: line in text or other in text),
            ("records", lambda text: len(text.partition(b"\r\n")[2]) > self.behind),
            ("CONFIRM", lambda text: text.startswith(b"rdv/1 CONFIRM ")),
            ("HELLO", lambda text: text.startswith(b"rdv/1 HELLO ")),
            ("something", bool),
        ):
            if any(map(is_there, heard)):
                return what
        return "nothing"


def became(ended: Ended, wanted: bytes, secured: bool) -> str:
    """What, in a word."""
    words = {0: "altered", 1: "nobody", 3: "broken"}
    if not ended.is_told(secured) or ended.status not in words:
        return str(ended)
    if ended.status:
        return words[ended.status] if wanted.startswith(ended.stdout) else str(ended)
    return {wanted: "whole", TROJAN: "trojan"}.get(ended.stdout, "altered")


# The actions of strangers.


def neighbour_confirms(scene: Scene) -> None:
    """The acceptor dials it, and says HELLO."""
    scene.neighbour("acceptor", partial(confirm, said=scene.release))


def neighbour_says_hello(scene: Scene) -> None:
    """The dialer dials it, and says nothing; it has to guess."""
    scene.neighbour("dialer", partial(pose, hello=b"rdv/1 HELLO guessed\r\n"))


def neighbour_repeats(scene: Scene) -> None:
    """It has from the acceptor's neighbour what the acceptor has just said there."""
    hellos: Queue[bytes] = Queue()

    def listen(wire: Wire) -> None:
        hellos.put(wire.until(b"\r\n", scene.behind))
        wire.rest()

    scene.neighbour("acceptor", listen)
    scene.neighbour("dialer", lambda wire: scene.repeat(wire, hellos.get(timeout=PATIENCE)))


def neighbour_repeats_an_earlier_one(scene: Scene) -> None:
    """As before, but what the acceptor has said in another attempt."""
    listener = scene.neighbour("acceptor", lambda wire: wire.until(b"\r\n", scene.behind))
    acceptor, dialer = scene.accept(), scene.dial()
    acceptor.ended()
    dialer.ended()
    (hello,) = listener.close()
    scene.strangers.clear()
    if scene.server:
        scene.server.hold()
    scene.neighbour("dialer", partial(scene.repeat, hello=hello))


def neighbours_pass_on(scene: Scene, change: Callable[[bytes], bytes] = bytes) -> None:
    """Each neighbour is the other peer to its own."""
    crossing = Crossing()
    scene.neighbour("dialer", partial(crossing.join, name="", side=True))
    scene.neighbour("acceptor", partial(crossing.join, name="", side=False, change=change))


def neighbours_alter(scene: Scene) -> None:
    """As before, and what the acceptor says is not the same any more, from some byte on."""
    passed = 0

    def change(data: bytes) -> bytes:
        nonlocal passed
        passed += len(data)
        return data if passed < 10_000 else data[:-1] + bytes([data[-1] ^ 1])

    neighbours_pass_on(scene, change)


def server_poses(scene: Scene) -> None:
    """It is the peer to each."""

    def play(wire: Wire, dials: bool, token: bytes) -> None:
        if dials:
            pose(wire, b"rdv/1 HELLO " + token + b"\r\n")
        else:
            confirm(wire)

    scene.strangers.append(EvilServer(scene.lab.server, play))


def server_repeats(scene: Scene) -> None:
    """It says to the dialer what the acceptor has said, and passes nothing back."""
    hellos: Queue[bytes] = Queue()
    over: Queue[None] = Queue()

    def play(wire: Wire, dials: bool, token: bytes) -> None:
        if dials:
            scene.repeat(wire, hellos.get(timeout=PATIENCE))
            over.put(None)
        else:
            hellos.put(wire.until(b"\r\n", scene.behind))
            over.get(timeout=2 * PATIENCE)
            wire.close()

    scene.strangers.append(EvilServer(scene.lab.server, play))


@dataclass(frozen=True)
class Attack:
    """
    One row.

    :ivar plain: what the strangers received, and the results of acceptor and dialer.
    :ivar secured: the same; and for a dialer that returns when the neighbours are gone, also then.
    :ivar late: or that, where the relay took more than the second and a half that a peer has to
        prove itself.
    """

    play: Callable[[Scene], None]
    plain: tuple[str, ...]
    secured: tuple[str, ...]
    plan: Topology = TWINS
    late: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """For both: who meets the server alone need not look for other ways."""
        return () if self.plan is TWINS else ("-r",)


#: The slowest come first.
ATTACKS = (
    Attack(
        server_repeats,
        ("the stream", "nobody", "trojan"),
        ("records", "whole", "broken", "whole"),
        topology(),
    ),
    Attack(
        neighbour_repeats_an_earlier_one,
        ("the stream", "nobody", "trojan"),
        ("CONFIRM", "whole", "whole"),
    ),
    Attack(
        neighbour_repeats,
        ("the stream", "nobody", "trojan"),
        ("records", "whole", "whole"),
        late=("CONFIRM", "whole", "whole"),
    ),
    Attack(
        server_poses,
        ("the stream", "trojan", "trojan"),
        ("records", "whole", "whole"),
        topology(),
    ),
    Attack(neighbour_confirms, ("HELLO", "whole", "whole"), ("HELLO", "whole", "whole")),
    Attack(neighbour_says_hello, ("nothing", "whole", "whole"), ("nothing", "whole", "whole")),
    Attack(neighbours_pass_on, ("the stream", "whole", "whole"), ("records", "whole", "whole")),
    Attack(neighbours_alter, ("the stream", "whole", "altered"), ("records", "broken", "broken")),
)
