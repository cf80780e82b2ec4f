"""
How much of a client's address a log shows.
"""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_ntop
from typing import IO

from rdv.addresses import parse_address, parse_ip
from rdv.settings import ServerSettings

__all__ = ["FULL", "NONE", "PREFIX", "MaskedFile", "Masking", "masked", "masked_host"]

#: All of it; the network it is in, which is a household's or an office's; or nothing.
FULL, PREFIX, NONE = "full", "prefix", "none"

#: Bytes of that network.
_V4_PREFIX, _V6_PREFIX = 3, 6

# In brackets or not, with a port or not. Not the version of a program, Browser/120.0.0.0. What is
# repeated has a limit: strangers write some of what is logged.
_ADDRESS = re.compile(
    r"\[(?P<bracketed>[0-9A-Fa-f:.]{2,45})(?:%[\w.-]{0,15}\w)?\](?::\d{1,5}(?!\d))?"
    r"|(?<![\w.])(?<![^/]/)(?P<v4>\d{1,3}(?:\.\d{1,3}){3})(?![\w]|\.\d)(?::\d{1,5}(?!\d))?"
    r"|(?<![\w.])(?=[0-9A-Fa-f]{0,4}:)(?P<v6>[0-9A-Fa-f:.]{2,45})(?:%[\w.-]{0,15}\w)?(?!\w)"
)
# What every address has in it. To try the other at each character would take ten times as long.
_INSIDE = re.compile(r"[.:](?=[0-9A-Fa-f]{0,4}[.:])")
_DIGITS = frozenset("0123456789ABCDEFabcdef")


def masked(text: str, detail: str) -> str:
    """
    A text in which no address says more than it should. Ports go with what is cut: with the time
    they would tell one client from the others.

    :param detail: :data:`FULL`, :data:`PREFIX` or :data:`NONE`.
    """
    if detail == FULL:
        return text
    pieces, end = [], 0
    for inside in _INSIDE.finditer(text):
        if inside.start() < end:
            continue
        match = _ADDRESS.match(text, _start(text, inside.start(), end))
        replacement = match and _replacement(detail, match)
        if match and replacement:
            pieces += [text[end : match.start()], replacement]
            end = match.end()
    return "".join((*pieces, text[end:]))


def _start(text: str, inside: int, least: int) -> int:
    """Where an address would begin, of which the first separator is there."""
    start = inside
    while start > least and inside - start < 5 and text[start - 1] in _DIGITS:
        start -= 1
    return start - 1 if start > least and text[start - 1] == "[" else start


def _replacement(detail: str, match: re.Match[str]) -> str | None:
    if match["v4"]:  # or four numbers like those of one: most are
        return "-" if detail == NONE else f"{match['v4'].rpartition('.')[0]}.0/24"
    text = match["bracketed"] or match["v6"]
    ip, rest = _parsed(text), ""
    if ip is None and text[-1] in ".:":  # the end of a sentence, or of a part of one
        ip, rest = _parsed(text[:-1]), text[-1]
    if ip is None:
        return None
    return ("-" if detail == NONE else "{}/{}".format(*_network(ip))) + rest


def _parsed(text: str) -> bytes | None:
    try:
        return parse_ip(text).packed
    except ValueError:
        return None


def _network(packed: bytes) -> tuple[str, int]:
    """Its first address, and how many bits it has."""
    kept, family = (_V4_PREFIX, AF_INET) if len(packed) == 4 else (_V6_PREFIX, AF_INET6)
    return inet_ntop(family, packed[:kept].ljust(len(packed), b"\0")), 8 * kept


def masked_host(address: str, detail: str) -> tuple[str, str]:
    """
    The parts of a formatted address that may be shown, each ``-`` when it is not known, or not
    shown. Instead of the network its first address stands there: what reads columns of addresses
    understands that.

    :return: the host and the port.
    """
    try:
        ip, port = parse_address(address)
    except ValueError:
        return "-", "-"
    if detail == NONE:
        return "-", "-"
    if detail == PREFIX:
        return _network(ip.packed)[0], "-"
    return str(ip), str(port)


class Masking:
    """
    What is shown now.

    :ivar detail: how much; it may change.
    """

    def __init__(self, detail: str) -> None:
        self.detail = detail

    def use(self, settings: ServerSettings) -> None:
        """Have other settings."""
        self.detail = settings.log_addresses


class MaskedFile:
    """As much of a text file as a log needs. What goes there is :func:`masked`."""

    def __init__(self, file: IO[str], masking: Masking) -> None:
        self._file = file
        self._masking = masking

    def write(self, text: str) -> None:
        """Write a line, with its end."""
        self._file.write(masked(text, self._masking.detail))

    def flush(self) -> None:
        self._file.flush()
