``mypy --strict`` finds options that do not exist, as in ``client.dial(..., hedaers={})``, takes Twisted's
global reactor for one, and knows the port that ``RendezvousServerEndpoint.listen`` fires with; with and
without mypy-zope. The repr of a client, a connection, an endpoint and a port tells which it is.
