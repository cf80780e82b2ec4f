"""
The head of a request as clients of rdv send it: nothing in it that HTTP allows and they do not use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["PlainHead", "plain_head"]

#: Bytes at most, and how many more a line counts for: an HTTP server has a limit of lines, too.
_LIMIT, _LINE = 1 << 14, 32
_REQUEST = re.compile(rb"(DIAL|ACCEPT) (/[-.0-9A-Z_a-z~/]*) HTTP/1\.1")
_NAME = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
#: What a value must not contain; a line has its end behind it.
_CONTROL = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")
#: Headers that say more than what is asked for: that something follows, or what a guard looks at.
_MORE = {
    b"content-length",
    b"transfer-encoding",
    b"expect",
    b"cookie",
}


class PlainHead(NamedTuple):
    """
    One that is complete.

    :ivar headers: the values of each by its name in lower case, in their order, without blanks at
        their ends.
    """

    method: bytes
    target: bytes
    headers: dict[bytes, list[bytes]]

    def values(self, name: bytes) -> Sequence[bytes]:
        """A :data:`rdv.wire.HeaderLookup`."""
        return self.headers.get(name.lower(), ())


def plain_head(data: bytes) -> PlainHead | None:
    """
    Read one that is nothing but that: a request of ours with nothing behind it and no surprise in
    it. Whatever else it may be is for an HTTP server to say. It takes time in proportion to its
    length, whatever it is.

    :return: None when it is something else, or not complete.
    """
    if len(data) + _LINE * data.count(b"\n") > _LIMIT or not data.endswith(b"\r\n\r\n"):
        return None
    first, *lines = data[:-4].split(b"\r\n")
    request = _REQUEST.fullmatch(first)
    if request is None:
        return None
    headers: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name) or _CONTROL.search(value):
            return None
        headers.setdefault(name.lower(), []).append(value.strip(b" \t"))
    if not headers.keys().isdisjoint(_MORE):
        return None
    return PlainHead(request[1], request[2], headers)
