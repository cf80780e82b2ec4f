"""
An HTTP proxy, from the text that a person writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Proxy"]


@dataclass(frozen=True)
class Proxy:
    """
    An HTTP proxy through which the server is reached. Its text shows no password.

    :ivar authorization: the value of ``Proxy-Authorization``; None for none.
    """

    host: str
    port: int
    authorization: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"
