"""
Ports that open and close without log messages: Twisted logs a line for each, whatever its factory
sets.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from twisted.internet.interfaces import IListeningPort
from twisted.logger import ILogFilterPredicate, LogEvent, LogLevel, PredicateResult
from twisted.python.context import call, get
from twisted.python.failure import Failure
from twisted.python.log import ILogContext
from zope.interface import provider

__all__ = ["listen_quietly", "unless_quiet"]

T = TypeVar("T")

#: The key that unwanted events have.
_MARK = "rdv_quiet"


def listen_quietly(listen: Callable[..., IListeningPort], *arguments: Any, **options: Any) -> Any:
    """
    Call ``listen``, such as ``listenTCP``. Log events of the port have level ``debug``, and are not
    shown in our logs.
    """
    port: Any = _quietly(listen, *arguments, **options)
    if hasattr(port, "connectionLost"):
        port.connectionLost = partial(_close_quietly, port)
    return port


def _close_quietly(port: Any, reason: Failure) -> None:
    del port.connectionLost  # breaks a reference cycle
    _quietly(port.connectionLost, reason)


def _quietly(function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    context = {**(get(ILogContext) or {}), "log_level": LogLevel.debug, _MARK: True}
    result: T = call({ILogContext: context}, function, *arguments, **options)
    return result


@provider(ILogFilterPredicate)
def unless_quiet(event: LogEvent) -> Any:
    """A predicate that keeps them from a log observer."""
    return PredicateResult.no if _MARK in event else PredicateResult.maybe
