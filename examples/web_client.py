"""
treq over rdv, to a web server that cannot be reached otherwise. On the server's host::

    twist web --listen 'rdv:https\\://example.com/rdv:tokenFile=secret.txt' --path public

and on the client, for any number of concurrent pages::

    python examples/web_client.py 'rdv:https\\://example.com/rdv:tokenFile=secret.txt' / /notes.txt
"""

from __future__ import annotations

import sys
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import react
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer


@implementer(IAgentEndpointFactory)
class Always:
    """Uses this endpoint for all URLs."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self._endpoint


async def show(http: HTTPClient, path: str) -> None:
    """Get a page."""
    response = await http.get(f"http://the-peer{path}")
    page = await response.content()
    print(f"{path}: {response.code}, {len(page)} bytes", flush=True)


async def main(reactor: Any, description: str, *paths: str) -> None:
    """Get all pages concurrently, each on its own connection."""
    pool = HTTPConnectionPool(reactor)  # which keeps connections for further requests
    endpoint = Always(clientFromString(reactor, description))
    http = HTTPClient(Agent.usingEndpointFactory(reactor, endpoint, pool))
    await gatherResults([Deferred.fromCoroutine(show(http, path)) for path in paths])
    await pool.closeCachedConnections()


if __name__ == "__main__":
    react(main, sys.argv[1:])
