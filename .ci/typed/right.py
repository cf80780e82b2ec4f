"""What a program may write: no error with and without the plugin for zope.interface."""

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol

from rdv import Client, Connection, RendezvousEndpoint, RendezvousServerEndpoint
from rdv.addresses import AddressSpace

URL = "http://example.com/rdv"

client = Client(reactor, spaces=AddressSpace.NONE)


def ask(url: str, token: str) -> Deferred[Connection]:
    """A Deferred of a connection."""
    return client.dial(url, token, timeout=5.0, headers={"X-Team": "blue"}, auth=("me", "secret"))


async def main() -> None:
    """Uses each entry point."""
    connection = await ask(URL, "token")
    connection.attach(Protocol())
    print(connection.is_relay, connection.peer_address.port)
    endpoint = RendezvousServerEndpoint(client, URL, "token")
    port = await endpoint.listen(Factory.forProtocol(Protocol))
    await port.waiting
    dialling = RendezvousEndpoint(client, "dial", URL, "token")
    await dialling.connect(Factory.forProtocol(Protocol))
    await port.stopListening()
