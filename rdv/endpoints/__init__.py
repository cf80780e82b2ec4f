"""
To be written.
"""

from rdv.endpoints.endpoint import (
    IClient,
    RendezvousAddress,
    RendezvousEndpoint,
    RendezvousPort,
    RendezvousServerEndpoint,
    Trouble,
)

__all__ = [
    "IClient",
    "RendezvousAddress",
    "RendezvousEndpoint",
    "RendezvousPort",
    "RendezvousServerEndpoint",
    "Trouble",
]
