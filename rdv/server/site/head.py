"""
Parses the head of a request as rdv clients send it, without the parts of HTTP that they do not use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["PlainHead", "plain_head"]

#: Maximum size in bytes, and how many more each line counts as: HTTP servers limit lines, too.
_LIMIT, _LINE = 1 << 14, 32
#: No text can match in two ways, so matching takes linear time.
_HEAD = re.compile(
    rb"(DIAL|ACCEPT) (/[-.0-9A-Z_a-z~/]*) HTTP/1\.1"
    rb"((?:\r\n[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+)*+)\r\n\r\n"
)
#: Headers that need an HTTP server, because they announce a body or are checked by guards.
_MORE = {
    b"content-length",
    b"transfer-encoding",
    b"expect",
    b"cookie",
}


class PlainHead(NamedTuple):
    """
    A complete head.

    :ivar headers: the values of each header by its name in lower case, in order, without
        surrounding blanks.
    """

    method: bytes
    target: bytes
    headers: dict[bytes, list[bytes]]

    def values(self, name: bytes) -> Sequence[bytes]:
        """A :data:`rdv.wire.HeaderLookup`."""
        return self.headers.get(name.lower(), ())


def plain_head(data: bytes) -> PlainHead | None:
    """
    Parse data that is only a plain head: a request of an rdv client with nothing after it and
    nothing unusual in it. Anything else is left to an HTTP server. The time is proportional to the
    length of the data, whatever it is.

    :return: None if it is anything else, or incomplete.
    """
    if len(data) + _LINE * data.count(b"\n") > _LIMIT:
        return None
    head = _HEAD.fullmatch(data)
    if head is None:
        return None
    method, target, lines = head.groups()
    headers: dict[bytes, list[bytes]] = {}
    for line in lines.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        headers.setdefault(name.lower(), []).append(value.strip(b" \t"))
    if not headers.keys().isdisjoint(_MORE):
        return None
    return PlainHead(method, target, headers)
