"""
What a worker hears from its parent, a line each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rdv.server.workers.orders import SETTINGS, decode_settings
from rdv.settings import ServerSettings

__all__ = ["Hearing"]


class Hearing:
    """
    Obeys; a consumer, see :class:`rdv._flows.sources.Consumer`.

    :param orders: what is done for a line.
    :param wanted: called with the settings that hold from the next reload on.
    """

    def __init__(
        self,
        orders: Mapping[bytes, Callable[[], object]],
        wanted: Callable[[ServerSettings], object],
    ) -> None:
        self._orders = orders
        self._wanted = wanted
        self._unfinished = b""

    def write(self, data: bytes) -> None:
        """Obey, in the order of the lines."""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            if line.startswith(SETTINGS):
                self._wanted(decode_settings(line))
            else:
                self._orders[line + b"\n"]()

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """See :class:`rdv._flows.sources.Consumer`."""

    def unregisterProducer(self) -> None:
        """See :class:`rdv._flows.sources.Consumer`."""
