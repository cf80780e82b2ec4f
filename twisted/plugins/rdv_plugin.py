"""Adds ``rdv`` to the commands of ``twist``."""

from twisted.application.service import ServiceMaker

rdv = ServiceMaker(
    "rdv", "rdv.tap", "Relay-assisted p2p TCP connectivity: rendezvous server and client.", "rdv"
)
