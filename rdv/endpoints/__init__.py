"""
Endpoints: run any Twisted client or server over rdv, unchanged.

::

    from rdv.client import Client
    from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
    from rdv.wire import Role

    client = Client(reactor)
    url = "https://example.com/rdv"

    port = await RendezvousServerEndpoint(client, url, token).listen(factory)
    protocol = await RendezvousEndpoint(client, Role.DIALER, url, token).connect(factory)

Or from strings, wherever a program takes an endpoint description; see
:mod:`rdv.endpoint_strings`.

Each name is loaded when it is asked for: a program that only retries needs just
:mod:`rdv.endpoints.retry`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdv.client.iclient import IClient
    from rdv.endpoints.endpoint import RendezvousEndpoint, RendezvousServerEndpoint
    from rdv.endpoints.listener import Trouble
    from rdv.endpoints.port import RendezvousAddress, RendezvousPort

__all__ = [
    "IClient",
    "RendezvousAddress",
    "RendezvousEndpoint",
    "RendezvousPort",
    "RendezvousServerEndpoint",
    "Trouble",
]

_HOMES = {
    "IClient": "rdv.client.iclient",
    "RendezvousAddress": "rdv.endpoints.port",
    "RendezvousEndpoint": "rdv.endpoints.endpoint",
    "RendezvousPort": "rdv.endpoints.port",
    "RendezvousServerEndpoint": "rdv.endpoints.endpoint",
    "Trouble": "rdv.endpoints.listener",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
