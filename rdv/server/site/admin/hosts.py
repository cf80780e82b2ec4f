"""
Under which names a browser may ask.

A page of somebody else's can have its own name resolve to an address of this host (DNS rebinding).
To the browser the answer is that page's then. But the request says which name it was.
"""

from __future__ import annotations

import re
import socket

from rdv.addresses import parse_ip

__all__ = ["is_own"]

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:\s]*))(?::\d+)?")
#: Nobody can have a public name below these.
_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")


def is_own(host: str) -> bool:
    """
    Whether a ``Host`` header, which may have a port, cannot be somebody else's name: an address, a
    name without a dot, one that is never public, or that of this host.
    """
    found = _HOST.fullmatch(host.strip().lower())
    if found is None:
        return False
    name = found[1] or found[2].rstrip(".")
    try:
        parse_ip(name)
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE) or name == socket.gethostname().lower()
    return True
