"""
Explores everything that can happen to a stream that may move, in every order.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from rdv._secure.stream import Stream
from rdv.test.secure.move_model import Bounds, Step, World, Wrong

__all__ = ["Explorer", "Found"]


class Found(NamedTuple):
    """
    :ivar states: how many there are.
    :ivar faults: how often each was found, and the events that lead to the first.
    :ivar ends: how often each pair of outcomes was found.
    """

    states: int
    faults: dict[str, tuple[int, list[Step]]]
    ends: Counter[tuple[bool | None, ...]]


class Explorer:
    """
    Goes through everything that can happen within ``bounds``.

    :param kind: a stream with wrong rules, to show that the faults are found.
    """

    def __init__(self, bounds: Bounds, kind: type[Stream] = Stream) -> None:
        self._from: dict[object, tuple[object, Step] | None] = {}
        self._start = World(bounds, kind)

    def run(
        self, ended: Callable[[World, list[Step]], object] | None = None, until: str | None = None
    ) -> Found:
        """
        :param ended: called with each end, and how one comes to it.
        :param until: a fault at which the search may stop.
        """
        start = self._start.key()
        self._from = {start: None}
        todo = deque([(self._start, start)])
        faults: dict[str, tuple[int, list[Step]]] = {}
        ends: Counter[tuple[bool | None, ...]] = Counter()

        def fault(text: str, key: object, *last: Step) -> None:
            count, course = faults.get(text) or (0, [*self._course(key), *last])
            faults[text] = count + 1, course

        while todo and until not in faults:
            world, key = todo.popleft()
            steps = list(world.steps())
            try:
                world.check(steps)
            except Wrong as error:
                fault(str(error), key)
            outcomes = tuple(side.outcome for side in world.sides)
            if None not in outcomes:
                ends[outcomes] += 1
                if ended is not None:
                    ended(world, self._course(key))
            for step in steps:
                new = world.copy()
                try:
                    new.happen(step)
                except Wrong as error:
                    fault(str(error), key, step)
                    continue
                found = new.key()
                if found not in self._from:
                    self._from[found] = key, step
                    todo.append((new, found))
        return Found(len(self._from), faults, ends)

    def _course(self, key: object) -> list[Step]:
        course: list[Step] = []
        while (before := self._from[key]) is not None:
            key, step = before
            course.append(step)
        return course[::-1]
