"""Mistakes that a program may make: each line with an error that is found names it."""

from twisted.internet import reactor

from rdv import Client, RendezvousEndpoint

client = Client(reactor, spaces=3)  # error: arg-type
client.dial("http://example.com/", "token", hedaers={})  # error: call-arg
client.accept("http://example.com/", 17)  # error: arg-type
client.dial("http://example.com/", "token", auth="me")  # error: arg-type
Client(reactor, timout=3)  # error: call-arg
RendezvousEndpoint(client, "http://example.com/", "token")  # error: call-arg
