"""
Relay-assisted p2p TCP connectivity for Twisted.

Two programs that share a token each make one HTTP request to a rendezvous server. The server sends
each the other's addresses; both listen and dial from one port until a direct TCP connection is
established. If that is impossible, the same HTTP connection serves as a relay.

* :class:`rdv.Client` dials and accepts.
* :class:`rdv.RendezvousResource` mounts the server in any ``twisted.web`` site.
* ``twist rdv`` and ``rdv`` do both from a shell.

Importing this package imports nothing else: each name is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # importing that of typing takes 5 ms
if TYPE_CHECKING:
    from rdv._secure.secret import Secret
    from rdv.client import Client, Connection
    from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
    from rdv.errors import RdvError
    from rdv.server import Rendezvous, RendezvousResource

__all__ = [
    "Client",
    "Connection",
    "RdvError",
    "Rendezvous",
    "RendezvousEndpoint",
    "RendezvousResource",
    "RendezvousServerEndpoint",
    "Secret",
    "__version__",
]

__version__ = "0.1.0"

_HOMES = {
    "Client": "rdv.client",
    "Connection": "rdv.client",
    "RdvError": "rdv.errors",
    "Rendezvous": "rdv.server",
    "RendezvousEndpoint": "rdv.endpoints",
    "RendezvousResource": "rdv.server",
    "RendezvousServerEndpoint": "rdv.endpoints",
    "Secret": "rdv._secure.secret",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
