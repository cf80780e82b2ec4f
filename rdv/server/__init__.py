"""
The server: a rendezvous point and relay, as a ``twisted.web`` resource.

::

    from twisted.web.resource import Resource
    from rdv.server import Rendezvous, RendezvousResource

    root = Resource()
    root.putChild(b"rdv", RendezvousResource(Rendezvous(reactor)))
"""

from rdv._system.verbosity import show_from
from rdv.server.accounting.record import PairListener, PairRecord
from rdv.server.limits.numbers import Limits
from rdv.server.observed import ObservedAddress, forwarded_address, peer_address
from rdv.server.ports import Ports
from rdv.server.relay.limits import RelayLimits
from rdv.server.relay.outcome import EndReason, Outcome
from rdv.server.relay.pair import Pair, Tap
from rdv.server.rendezvous import Rendezvous, ServeHook
from rdv.server.resource import Identify, RendezvousResource
from rdv.server.shortcut import ShortcutFactory

__all__ = [
    "EndReason",
    "Identify",
    "Limits",
    "ObservedAddress",
    "Outcome",
    "Pair",
    "PairListener",
    "PairRecord",
    "Ports",
    "RelayLimits",
    "Rendezvous",
    "RendezvousResource",
    "ServeHook",
    "ShortcutFactory",
    "Tap",
    "forwarded_address",
    "peer_address",
    "show_from",
]
