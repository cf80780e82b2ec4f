"""
Names are looked up by the C library, in threads, where nobody can stop it.
"""

from __future__ import annotations

from threading import Thread
from typing import Any

from twisted.python.threadpool import ThreadPool

__all__ = ["never_wait_for_lookups"]


class _Threads(ThreadPool):
    """Those that end with the process."""

    @staticmethod
    def threadFactory(*args: Any, **options: Any) -> Thread:  # type: ignore[override]  # noqa: N802
        return Thread(*args, daemon=True, **options)


def never_wait_for_lookups(reactor: Any) -> None:
    """
    Let a command end though a name server is silent: for its threads, which do nothing else, a
    reactor waits before it stops, 10 seconds and more.
    """
    pool = _Threads(0, 10, "lookups")
    pool.start()
    reactor.threadpool = pool  # it makes one of its own only if there is none
