"""
Reloads the files of a server: certificates, lists, keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from twisted.logger import Logger, LogLevel

from rdv.errors import RdvError

__all__ = ["Reload", "reload_all"]

log = Logger()

#: Reads something again, or raises an :class:`RdvError` with one line and keeps the old contents.
Reload: TypeAlias = Callable[[], object]


def reload_all(reloads: Iterable[Reload], level: Any = LogLevel.info) -> None:
    """
    Call all of them. If one fails, this is logged in one line, and the others are still called.

    :param level: the log level of the line that reports success.
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
