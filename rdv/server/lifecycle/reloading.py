"""
What a server reads again when it is told to: certificates, lists, keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from twisted.logger import Logger, LogLevel

from rdv.errors import RdvError

__all__ = ["Reload", "reload_all"]

log = Logger()

#: Reads something anew, or raises an :class:`RdvError` of one line and keeps what it had.
Reload: TypeAlias = Callable[[], object]


def reload_all(reloads: Iterable[Reload], level: Any = LogLevel.info) -> None:
    """
    Have each read anew. Of one that cannot, the log has one line, and the others still do.

    :param level: that of the line that says that all have.
    """
    failures = 0
    for reload in reloads:
        try:
            reload()
        except RdvError as error:
            failures += 1
            log.critical("not reloaded, keeping what was read before: {reason}", reason=error)
        except Exception:
            failures += 1
            log.failure("not reloaded, keeping what was read before")
    if not failures:
        log.emit(level, "reloaded")
