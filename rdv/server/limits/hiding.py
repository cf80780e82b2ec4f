"""
Detects addresses behind which a proxy hides its clients.

Without PROXY headers, or a header that the server was configured to read, all clients of a proxy
have the proxy's address: a container gateway, a load balancer on the same network, or loopback.
Limits per address would lock all of them out together. A non-public address is therefore treated as
a proxy's if its clients report many different addresses as their own, and there are hardly any
other addresses of that kind: in a network whose hosts connect by themselves, each has its own
address.

Anyone can forge the addresses that a client reports, but not the address from which it connects. An
attacker at a public address therefore gains nothing. An attacker inside, if at most three other
addresses have connected within an hour, can escape the limits per address by reporting eight
addresses, and is then only bound by the limits for the whole server.
"""

from __future__ import annotations

from collections.abc import Sequence

from rdv.addresses import endpoint_text, host_of, network_of, network_text
from rdv.server.limits.memory import HIDING

__all__ = ["Hiding", "is_public"]

#: Seconds for which an address is remembered after its last client.
_REMEMBERED = 3600.0
#: Seconds for which further clients of a known proxy are ignored.
_SETTLED = 60.0
#: This many different addresses, reported by clients, make theirs a proxy.
_NAMED = 8


def is_public(network: bytes) -> bool:
    """Whether an address is public, so that its clients are not in the server's own network."""
    first = network[0]
    if len(network) == 4:
        return not (
            first in (10, 127)
            or (first == 172 and network[1] & 0xF0 == 16)
            or network[:2] in (b"\xc0\xa8", b"\xa9\xfe")
            # RFC 6598, used inside clouds and clusters.
            or (first == 100 and network[1] & 0xC0 == 64)
        )
    is_local = first & 0xFE == 0xFC or (first == 0xFE and network[1] & 0xC0 == 0x80)
    return not is_local and any(network)


class _Seen:
    """An address that is not public."""

    __slots__ = ("host", "last", "named")

    def __init__(self, host: str) -> None:
        self.host = host
        self.last = 0.0
        self.named: set[str] = set()


class Hiding:
    """
    Detects proxies. What one worker has detected applies to all.

    :param published: the keys that each worker has found; see
        :meth:`rdv.server.limits.memory.Memory.hiding`.
    :param own: the index of this worker.
    """

    def __init__(self, published: Sequence[memoryview[int]], own: int) -> None:
        self._published = published
        self._own = published[own]
        self._seen: dict[int, _Seen] = {}
        self._found: list[int] = []
        self._settled: dict[int, float] = {}

    def came(self, key: int, host: str, named: str, now: float) -> None:
        """
        A client has come from an address that is not public.

        :param key: the key of that address, the same in all workers.
        :param host: the address as text.
        :param named: the client's own addresses, as formatted in an offer.
        """
        if now < self._settled.get(key, 0.0):
            return
        seen = self._seen.pop(key, None) or _Seen(host)
        self._seen[key] = seen  # ordered by the last client
        seen.last = now
        while len(self._seen) > HIDING + 1 or self._oldest.last < now - _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        if len(self._seen) > HIDING:  # hosts connect by themselves, not through a proxy
            if self._found:
                self._publish([])
            return
        hosts = [host_of(each) for each in named.split(", ")]
        # A port for both kinds of IP has IPv4 addresses inside IPv6 ones.
        is_own = host_of(endpoint_text(host, 0)) in hosts
        if hosts[0] and len(seen.named) < _NAMED and not is_own:
            seen.named.add(hosts[0])
        found = [key for key, seen in self._seen.items() if len(seen.named) == _NAMED]
        if found != self._found:
            self._publish(found)
        self._settled = dict.fromkeys(found, now + _SETTLED)

    @property
    def _oldest(self) -> _Seen:
        return next(iter(self._seen.values()))

    def _publish(self, found: list[int]) -> None:
        self._found = found
        for index, key in enumerate([*found, *[0] * (HIDING - len(found))]):
            self._own[index] = key

    def hides(self, key: int) -> bool:
        """Whether the address with that key is a proxy."""
        return any(key in part for part in self._published)

    @property
    def addresses(self) -> list[str]:
        """The proxies that this worker has detected."""
        return [network_text(network_of(self._seen[key].host)) for key in self._found]
