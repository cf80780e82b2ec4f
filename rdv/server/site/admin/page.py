"""
The page for people: one file with everything in it, and a policy that lets a browser load nothing
else.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

__all__ = ["PAGE", "POLICY"]


def _hash_of(element: str, text: str) -> str:
    """By which a policy knows what is in the one element of that name."""
    (content,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


_TEXT = files("rdv.server.site.admin").joinpath("page.html").read_text(encoding="utf-8")

PAGE = _TEXT.encode()
#: The value of ``Content-Security-Policy`` that belongs to it.
POLICY = "; ".join(
    [
        "default-src 'none'",
        f"style-src {_hash_of('style', _TEXT)}",
        f"script-src {_hash_of('script', _TEXT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
