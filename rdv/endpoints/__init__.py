"""
Endpoints: any client or server of Twisted over rdv, unchanged.

::

    from rdv.client import Client
    from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
    from rdv.wire import Role

    client = Client(reactor)
    url = "https://example.com/rdv"

    port = await RendezvousServerEndpoint(client, url, token).listen(factory)
    protocol = await RendezvousEndpoint(client, Role.DIALER, url, token).connect(factory)

Or from strings, wherever a program takes the description of an endpoint; see
:mod:`rdv.endpoint_strings`.
"""

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
