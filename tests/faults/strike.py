"""
Applies a fault to a scene at its moment. Each fault also completes the scene: after the fault, or
while it lasts.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from rdv.test.doubles import present
from tests.faults.scene import ROLES, Scene
from tests.faults.servers import Servers
from tests.faults.table import DOOM, SERVING, Fault, Form, Moment, Path, Victim
from tests.processes import Program

__all__ = ["STRIKES"]

REACTOR: Any = reactor
#: Seconds for which a process is stopped; and a bit more than the seconds between two reports with
#: JSON.
PAUSE, LOOK = 3.0, 1.2


def program_of(scene: Scene) -> Program:
    """The program that is the victim, or its parent."""
    victim = scene.case.victim
    return scene.server.program if victim in SERVING else scene.programs[victim]


def pid_of(scene: Scene) -> int:
    """The process that is the victim."""
    if scene.case.victim is Victim.WORKER:
        return scene.server.owner(scene.server_token)[1]
    pid: int = present(program_of(scene).transport.pid)
    return pid


async def gone(scene: Scene, pid: int) -> None:
    """Wait until the victim is, and a worker has a successor."""
    program = program_of(scene)
    if scene.case.victim is Victim.WORKER:
        index, _ = scene.server.owner(scene.server_token)
        await program.line(f"worker {index} serves as process (?!{pid}$)")
    else:
        await program.ended


async def go_on(scene: Scene, servers: Servers) -> None:
    """The victim is gone."""
    case = scene.case
    if case.moment is Moment.BEFORE:
        if case.victim is Victim.SERVER:
            scene.server = await servers.another(case, scene.server)
        elif case.victim in ROLES:
            await scene.replace()
    await scene.go_on()


async def kill(scene: Scene, servers: Servers) -> None:
    """It has no time for a last word."""
    pid = pid_of(scene)
    os.kill(pid, signal.SIGKILL)
    await gone(scene, pid)
    await go_on(scene, servers)


async def kill_unseen(scene: Scene, servers: Servers) -> None:
    """Its peers sleep until all that can come of it has come."""
    sleepers = [
        present(program.transport.pid)
        for who, program in scene.programs.items()
        if who is not scene.case.victim
    ]
    for pid in sleepers:
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    try:
        pid = pid_of(scene)
        os.kill(pid, signal.SIGKILL)
        await gone(scene, pid)
        if scene.case.path is Path.RELAY and scene.case.victim in ROLES:
            await scene.server.program.line(rf"\w+: {scene.hint}, bytes from ")
        if scene.case.form is Form.JSON:
            await deferLater(REACTOR, LOOK)
    finally:
        for pid in sleepers:
            os.kill(pid, signal.SIGCONT)
    await go_on(scene, servers)


async def stop(scene: Scene, servers: Servers) -> None:
    """It sleeps, and the others go on."""
    pid = pid_of(scene)
    os.kill(pid, signal.SIGSTOP)
    try:
        await scene.go_on()
        await deferLater(REACTOR, PAUSE)
    finally:
        os.kill(pid, signal.SIGCONT)


async def terminate(scene: Scene, servers: Servers) -> None:
    """It may do what it has to, and says how it ended."""
    case, pid, program = scene.case, pid_of(scene), program_of(scene)
    number = signal.SIGTERM if case.fault is Fault.TERM else signal.SIGINT
    os.kill(pid, number)
    if not case.goes_away:
        await scene.go_on()
        return
    if case.victim is Victim.SERVER and case.moment is not Moment.BEFORE:
        await scene.go_on()  # running streams may end
        await gone(scene, pid)
    else:
        await gone(scene, pid)
        await go_on(scene, servers)
    may_be = {0} if case.victim is Victim.SERVER else {128 + number}
    if case.moment is Moment.ENDED:
        may_be.add(0)  # it was faster
    if program.exit_code not in may_be:
        raise AssertionError(program.report())


async def kill_asleep(scene: Scene, servers: Servers) -> None:
    """Its system has taken what it has not, nor ever will."""
    pid = pid_of(scene)
    os.kill(pid, signal.SIGSTOP)
    try:
        await scene.go_on()
        sent = len(scene.content)
        await scene.programs[Victim.DIALER].line(rf'"bytes".*"sent": {sent}\b')
    finally:
        os.kill(pid, signal.SIGKILL)
    await gone(scene, pid)


async def wait_for_doom(scene: Scene, servers: Servers) -> None:
    """It kills itself when the other one has come, who has nothing to send."""
    await scene.start(scene.second)
    scene.end()
    status = await program_of(scene).ended
    if status != -signal.SIGKILL:
        raise AssertionError(program_of(scene).report())


STRIKES: dict[Fault, Callable[[Scene, Servers], Awaitable[None]]] = {
    Fault.KILL: kill,
    Fault.KILL_UNSEEN: kill_unseen,
    Fault.KILL_ASLEEP: kill_asleep,
    Fault.STOP: stop,
    Fault.TERM: terminate,
    Fault.INT: terminate,
    **dict.fromkeys(DOOM, wait_for_doom),
}
