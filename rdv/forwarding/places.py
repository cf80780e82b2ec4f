"""
Where local connections come from and go to, as written on a command line: ``HOST:PORT``, ``PORT``
on this host, ``unix:PATH``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

import idna
from twisted.internet import tcp, unix
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure

from rdv._system.socket_files import remove_stale
from rdv.addresses import parse_ip
from rdv.errors import BadEndpoint, RdvError
from rdv.forwarding.host_endpoint import HostEndpoint
from rdv.wire import is_secret

__all__ = ["BadPlace", "HostPlace", "SocketFile", "UnixPlace", "parse_place"]

#: Seconds to connect.
_TIMEOUT = 10.0
#: The length of the kernel's queue, where clients that arrive together wait.
_BACKLOG = 128
_PLACE = re.compile(r"(?:(?P<host>\[[^][]+\]|[^][:]+):)?(?P<port>[0-9]{1,5})")


class BadPlace(BadEndpoint):
    """A place in none of the three forms."""


@dataclass(frozen=True)
class HostPlace:
    """
    A TCP port.

    :ivar host: a name or an IP address, without brackets.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return _with_port(self.host, self.port)

    def endpoint(self, reactor: Any) -> IStreamClientEndpoint:
        """An endpoint that connects to it; a name is resolved each time."""
        return HostEndpoint(reactor, _in_ascii(self.host), self.port, _TIMEOUT)

    def listen(self, reactor: Any, factory: IProtocolFactory) -> tuple[IListeningPort, str]:
        """
        Listen there. No name except ``localhost`` is allowed: it may have several addresses.

        :return: the port, and its address with the actual port number.
        :raises BadPlace: for a name.
        :raises RdvError: when that is not possible.
        """
        host = "127.0.0.1" if self.host == "localhost" else self.host
        try:
            parse_ip(host)
        except ValueError:
            raise BadPlace(f"listening needs an IP address, not {host!r}") from None
        try:
            port: Any = reactor.listenTCP(self.port, factory, _BACKLOG, interface=host)
        except CannotListenError as error:
            raise RdvError(f"cannot listen on {self}: {_reason(error)}") from error
        return port, _with_port(host, port.getHost().port)


@dataclass(frozen=True)
class UnixPlace:
    """A Unix socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"

    def endpoint(self, reactor: Any) -> IStreamClientEndpoint:
        """An endpoint that connects to it."""
        return UNIXClientEndpoint(reactor, self.path, timeout=_TIMEOUT)

    def listen(self, reactor: Any, factory: IProtocolFactory) -> tuple[IListeningPort, str]:
        """
        Listen there, for this user only.

        :return: the port, and its address.
        :raises RdvError: when that is not possible; see
            :class:`rdv.forwarding.places.SocketFile`.
        """
        port = SocketFile(self.path, factory, _BACKLOG, reactor=reactor)
        try:
            port.startListening()
        except CannotListenError as error:
            raise RdvError(f"cannot listen on {self}: {_reason(error)}") from error
        return port, str(self)


def parse_place(text: str, *, any_port: bool = False) -> HostPlace | UnixPlace:
    """
    :param any_port: whether 0 may stand for any port.
    :raises BadPlace: when the text is not a place.
    """
    if text.startswith("unix:") and len(text) > len("unix:") and "\0" not in text:
        return UnixPlace(text.removeprefix("unix:"))
    if is_secret(text):  # the other error would show it
        raise BadPlace("a secret instead of PORT, HOST:PORT or unix:PATH")
    found = _PLACE.fullmatch(text)
    if found is None or not (0 if any_port else 1) <= int(found["port"]) <= 0xFFFF:
        raise BadPlace(f"not PORT, HOST:PORT or unix:PATH: {text!r}")
    host = found["host"] or "127.0.0.1"
    if host.startswith("["):
        host = host[1:-1]
        try:
            parse_ip(host)
        except ValueError:
            raise BadPlace(f"not an IP address: {host!r} in {text!r}") from None
    try:
        _in_ascii(host)
    except UnicodeError:
        raise BadPlace(f"not a host name: {host!r} in {text!r}") from None
    return HostPlace(host, int(found["port"]))


def _in_ascii(host: str) -> str:
    """:raises UnicodeError: when it cannot be the name of a host."""
    if host.isascii():
        host.encode("idna")  # the resolver does this too, but does not report a failure
        return host
    return idna.encode(host).decode()


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: CannotListenError) -> object:
    return getattr(error.socketError, "strerror", None) or error.socketError


class SocketFile(unix.Port):
    """
    A Unix socket to which only this user may connect.

    The file of a process that no longer exists is replaced. A file at which a process listens is
    not, and a file that is not a socket is not touched. At the end the file is removed, if it is
    still ours.
    """

    def __init__(
        self, path: str, factory: IProtocolFactory, backlog: int = 50, *, reactor: Any = None
    ) -> None:
        super().__init__(os.fsencode(path), factory, backlog, mode=0o600, reactor=reactor)
        self._path = path
        self._ours: tuple[int, int] | None = None

    def startListening(self) -> None:
        """
        See :class:`IListeningPort`.

        :raises CannotListenError: if the path is taken, or cannot be used.
        """
        try:
            remove_stale(self._path)
            super().startListening()  # type: ignore[no-untyped-call]
            self._ours = _identity(self._path)
        except OSError as error:
            raise CannotListenError(None, self._path, error) from error

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IReadDescriptor`: the port is closed."""
        # Not ``unix.Port.connectionLost``, which never finishes if the file no longer exists.
        if self._ours is not None and _identity(self._path) == self._ours:
            os.unlink(self._path)
        tcp.Port.connectionLost(self, reason)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
