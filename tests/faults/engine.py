"""
Runs cases: up to the moment, the fault, what is left to do, and what the programs report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, gatherResults

from tests.faults.forward import Forward
from tests.faults.servers import Servers
from tests.faults.stream import Stream
from tests.faults.strike import STRIKES
from tests.faults.table import SERVING, Case, Expected
from tests.faults.verdict import judge, judge_told
from tests.servers import SystemTestCase

__all__ = ["play_all"]

REACTOR: Any = reactor
#: Seconds in which each case ends, while others use the machine, too. As documented, nothing
#: in it takes more than a few.
PATIENCE = 60.0
AT_ONCE = 8


async def play_all(test: SystemTestCase, cases: Sequence[Case]) -> None:
    """
    Play them, some at once.

    :raises AssertionError: when there was something wrong with one; it says what, for each.
    """
    servers = Servers(test)
    await servers.share()

    def begin(number: int, case: Case) -> Deferred[list[str]]:
        playing = Deferred.fromCoroutine(play(test, case, servers, number))
        playing.addTimeout(PATIENCE, REACTOR)
        return playing.addErrback(lambda failure: [failure.getBriefTraceback()])

    at_once = DeferredSemaphore(AT_ONCE)
    found: list[list[str]] = await gatherResults(
        [at_once.run(begin, number, case) for number, case in enumerate(cases)]
    )
    wrong = [
        "\n  ".join([str(case), *said]) for case, said in zip(cases, found, strict=True) if said
    ]
    if wrong:
        test.fail("\n".join([f"{len(wrong)} of {len(cases)}", *wrong]))


async def play(test: SystemTestCase, case: Case, servers: Servers, number: int) -> list[str]:
    """What is wrong with one: nothing, if all is well."""
    server = await servers.server_for(case)
    kind = Forward if case.is_forward else Stream
    scene = kind(test, case, server, f"{number:04}")
    try:
        await scene.begin()
        await STRIKES[case.fault](scene, servers)
        wrong = judge(case.expected, await scene.ends()) + judge(Expected.BROKEN, scene.lost)
        return wrong + [text for told in scene.told() for text in judge_told(told)]
    except (CancelledError, AssertionError) as error:
        reports = [program.report() for program in scene.programs.values()]
        return [str(error) or f"after {PATIENCE:g} s it has not ended", *reports]
    finally:
        for program in scene.programs.values():
            program.kill()
        if case.victim in SERVING:
            scene.server.program.kill()
