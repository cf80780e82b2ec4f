"""
Names and their addresses, without a question to anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from zope.interface import implementer

__all__ = ["Names"]


@implementer(IHostResolution)
class _Resolution:
    """One that is complete at once."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """See :class:`IHostResolution`: it is too late."""


@implementer(IHostnameResolver)
class Names:
    """
    :param known: IPv4 addresses by name.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        """See :class:`IHostnameResolver`. A name that is not known has no addresses."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        host = self._known.get(hostName)
        if host is not None and (addressTypes is None or IPv4Address in addressTypes):
            resolutionReceiver.addressResolved(IPv4Address("TCP", host, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution
