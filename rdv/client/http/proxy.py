"""
The HTTP proxy of a client.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Proxy"]


class Proxy(NamedTuple):
    """
    An HTTP proxy through which the server is reached. Its text shows no password.

    :ivar authorization: the value of ``Proxy-Authorization``; None for none.
    """

    host: str
    port: int
    authorization: bytes | None = None

    def __repr__(self) -> str:
        return f"Proxy(host={self.host!r}, port={self.port!r})"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"
