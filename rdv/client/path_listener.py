"""
What a protocol may implement to be told that its connection uses another path.
"""

from __future__ import annotations

from zope.interface import Interface

__all__ = ["IPathListener"]


class IPathListener(Interface):
    """
    For a protocol that wants to know which way its :class:`Connection` goes.

    ``path_changed()`` is called when that has changed: ``transport.is_relay`` and
    ``transport.peer_address`` tell the new way. The stream goes on as if nothing had happened, so
    most protocols need not care. It is called in a turn of the reactor of its own, and not any more
    once the connection is closing; an exception in it is logged and has no other effect. A wrapper
    around the protocol, as for TLS, does not pass it on.
    """

    def path_changed() -> None:
        """It uses another path now."""
