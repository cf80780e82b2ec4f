"""Adds ``rdv`` to the commands of ``twist``, and to the descriptions of endpoints."""

from twisted.application.service import ServiceMaker

from rdv.endpoint_strings import ClientParser, ServerParser

rdv = ServiceMaker(
    "rdv", "rdv.tap", "Relay-assisted p2p TCP connectivity: rendezvous server and client.", "rdv"
)
client_parser = ClientParser()
server_parser = ServerParser()
