"""
Relay-assisted p2p TCP connectivity for Twisted.

Two programs that share a token each make one HTTP request to a rendezvous server. The server tells
each the other's addresses; both listen and dial from one port until a direct TCP connection stands.
When none can, the same HTTP connection serves as relay.

* :class:`rdv.client.Client` dials and accepts.
* :class:`rdv.server.RendezvousResource` mounts the server in any ``twisted.web`` site.
* ``twist rdv`` and ``rdv`` do both from a shell.

Importing this package imports nothing else: a command that only prints its help starts at once.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
