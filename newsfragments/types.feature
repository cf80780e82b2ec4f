``mypy --strict`` finds options that do not exist, as in ``client.dial(..., hedaers={})``, accepts
Twisted's global reactor, and knows the type of the port that ``RendezvousServerEndpoint.listen``
fires with; with and without mypy-zope. Clients, connections, endpoints and ports have a useful
repr.
