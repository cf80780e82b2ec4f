"""
Shortens or removes client addresses in logs.
"""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_ntop
from typing import IO

from rdv.addresses import parse_address, parse_ip
from rdv.settings import ServerSettings

__all__ = ["FULL", "NONE", "PREFIX", "MaskedFile", "Masking", "masked", "masked_host"]

#: The whole address; its network, which is a household's or an office's; or nothing.
FULL, PREFIX, NONE = "full", "prefix", "none"

#: Bytes of that network's prefix.
_V4_PREFIX, _V6_PREFIX = 3, 6

# With or without brackets, and with or without a port. Not the version of a program, such as
# Browser/120.0.0.0. All repetitions are bounded, because clients control some of the logged text.
_ADDRESS = re.compile(
    r"\[(?P<bracketed>[0-9A-Fa-f:.]{2,45})(?:%[\w.-]{0,15}\w)?\](?::\d{1,5}(?!\d))?"
    r"|(?<![\w.])(?<![^/]/)(?P<v4>\d{1,3}(?:\.\d{1,3}){3})(?![\w]|\.\d)(?::\d{1,5}(?!\d))?"
    r"|(?<![\w.])(?=[0-9A-Fa-f]{0,4}:)(?P<v6>[0-9A-Fa-f:.]{2,45})(?:%[\w.-]{0,15}\w)?(?!\w)"
)
# A part of every address. Trying the expression above at each character would take ten times as
# long.
_INSIDE = re.compile(r"[.:](?=[0-9A-Fa-f]{0,4}[.:])")
_DIGITS = frozenset("0123456789ABCDEFabcdef")


def masked(text: str, detail: str) -> str:
    """
    Shorten or remove all addresses in a text. Ports are removed as well: together with the time
    they would identify a client.

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
    """The beginning of an address, from the position of its first separator."""
    start = inside
    while start > least and inside - start < 5 and text[start - 1] in _DIGITS:
        start -= 1
    return start - 1 if start > least and text[start - 1] == "[" else start


def _replacement(detail: str, match: re.Match[str]) -> str | None:
    if match["v4"]:  # or four other numbers, but nearly all are addresses
        return "-" if detail == NONE else f"{match['v4'].rpartition('.')[0]}.0/24"
    text = match["bracketed"] or match["v6"]
    ip, rest = _parsed(text), ""
    if ip is None and text[-1] in ".:":  # followed by punctuation
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
    """The network's first address, and the length of its prefix in bits."""
    kept, family = (_V4_PREFIX, AF_INET) if len(packed) == 4 else (_V6_PREFIX, AF_INET6)
    return inet_ntop(family, packed[:kept].ljust(len(packed), b"\0")), 8 * kept


def masked_host(address: str, detail: str) -> tuple[str, str]:
    """
    The parts of a formatted address that may be shown; each is ``-`` if it is unknown or not shown.
    A network is represented by its first address, because programs that read columns of addresses
    understand that.

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
    The current setting.

    :ivar detail: how much of an address is shown; it may change.
    """

    def __init__(self, detail: str) -> None:
        self.detail = detail

    def use(self, settings: ServerSettings) -> None:
        """Apply other settings."""
        self.detail = settings.log_addresses


class MaskedFile:
    """The methods of a text file that a log uses. All text is :func:`masked`."""

    def __init__(self, file: IO[str], masking: Masking) -> None:
        self._file = file
        self._masking = masking

    def write(self, text: str) -> None:
        """Write a line, including its newline."""
        self._file.write(masked(text, self._masking.detail))

    def flush(self) -> None:
        self._file.flush()
