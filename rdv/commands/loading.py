"""
Loads Twisted for a command, which takes most of the time of a short one.

A third of that time is TLS, which Twisted loads wherever pyOpenSSL is installed, and works without
elsewhere; the same applies to asyncio and ``http.client``, if Python was built without it. A
command that will not need TLS therefore loads both as if this host had none.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False  # that of typing takes 5 ms to load
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

__all__ = ["load"]

_TLS = ("OpenSSL", "ssl")
#: By commands that need no TLS.
_NEEDED = ("twisted.internet.reactor", "rdv.commands.running", "rdv.commands.stream")


def load(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> None:
    """
    Load what a command needs, if that is no TLS. What is loaded after that may have TLS again;
    the reactor, and what is loaded with it, has none.
    """
    if _may_need_tls(arguments, environment) or "twisted.internet.tcp" in sys.modules:
        return
    hidden = [name for name in _TLS if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # importing it is an ImportError
    try:
        for name in _NEEDED:
            import_module(name)
    finally:
        for name in hidden:
            del sys.modules[name]


def _may_need_tls(arguments: argparse.Namespace, environment: Mapping[str, str]) -> bool:
    """Others than these run for long, or need it for something else than the server."""
    if arguments.module != "stream":
        return True
    return "https" in f"{arguments.url} {environment.get('RDV_SERVER')}".lower()
