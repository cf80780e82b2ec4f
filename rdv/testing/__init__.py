"""
A rendezvous in memory, for tests of programs that use rdv.

::

    from rdv.testing import MemoryRendezvous

    rendezvous = MemoryRendezvous()
    dialling = rendezvous.client().dial(rendezvous.url, "token")
    accepting = rendezvous.client().accept(rendezvous.url, "token")
    rendezvous.flush()
    connection = self.successResultOf(dialling)

There are no sockets, no waiting, and no Deferred that fires by itself: a ``SynchronousTestCase`` is
enough.
"""

from rdv.testing.host import Host
from rdv.testing.rendezvous import MemoryRendezvous

__all__ = ["Host", "MemoryRendezvous"]
