"""
Loads Twisted for a command, which takes most of the time of a short one.

A third of that time is TLS, which Twisted loads wherever pyOpenSSL is installed, and works without
elsewhere; the same applies to ``http.client``, if Python was built without it. A command that will
not need TLS therefore loads both as if this host had none.

Some modules are imported with Twisted for something that a stream hardly ever uses. They run late:
:mod:`rdv.commands.late`.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib import import_module

TYPE_CHECKING = False  # that of typing takes 5 ms to load
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["load"]

_TLS = ("OpenSSL", "ssl")
#: What the commands for streams need.
_NEEDED = ("twisted.internet.reactor", "rdv.commands.running", "rdv.commands.stream")
#: Imported by these, but hardly ever used by a stream. If Twisted begins to use one of them
#: immediately, the entry no longer saves anything, but does no harm.
_SELDOM_USED: dict[str, dict[str, str]] = {
    # Twisted imports these three names, to convert between Deferreds and asyncio's futures.
    "asyncio": {"AbstractEventLoop": "events", "Future": "futures", "iscoroutine": "coroutines"},
    "concurrent.futures": {},
    "email.header": {},
    "email.parser": {},
    "mimetypes": {},
    "pickle": {},
    "pty": {},
    "tempfile": {},
    "textwrap": {},
    "tokenize": {},
    "treq.multipart": {},
    "twisted.internet.udp": {},
    "twisted.internet.unix": {},
    "urllib.request": {},
}


def load(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> None:
    """
    Load what a stream needs; without TLS, if it needs none. Modules that are loaded later may have
    TLS again; the reactor, and modules loaded with it, have none.
    """
    if arguments.module != "stream" or "twisted.internet.tcp" in sys.modules:
        return  # the other commands run for a long time
    from rdv.commands.late import late

    with _hidden(() if _may_need_tls(arguments, environment) else _TLS), late(_SELDOM_USED):
        for name in _NEEDED:
            import_module(name)


@contextmanager
def _hidden(names: Sequence[str]) -> Iterator[None]:
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # importing it is an ImportError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _may_need_tls(arguments: argparse.Namespace, environment: Mapping[str, str]) -> bool:
    return "https" in f"{arguments.url} {environment.get('RDV_SERVER')}".lower()
