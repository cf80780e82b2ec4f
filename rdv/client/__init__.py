"""
The client: dialling and accepting.

::

    from rdv.client import Client

    client = Client(reactor)
    connection = await client.dial("https://example.com/rdv", token)
    connection.attach(MyProtocol())
"""

from rdv.client.candidates.candidate import Candidate
from rdv.client.client import Client
from rdv.client.http.policy import tls_policy
from rdv.client.http.request import RequestOptions
from rdv.client.iclient import IClient
from rdv.client.race.choice import Chooser, relay_penalty
from rdv.client.reach.port_mapping import PortMapping
from rdv.client.reach.self_addresses import SelfAddresses, own_addresses
from rdv.client.servers.urls import Servers, rank_servers
from rdv.client.stream.connection import Connection
from rdv.client.stream.receiver import IPathListener

__all__ = [
    "Candidate",
    "Chooser",
    "Client",
    "Connection",
    "IClient",
    "IPathListener",
    "PortMapping",
    "RequestOptions",
    "SelfAddresses",
    "Servers",
    "own_addresses",
    "rank_servers",
    "relay_penalty",
    "tls_policy",
]
