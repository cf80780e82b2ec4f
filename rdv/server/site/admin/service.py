"""
The admin port of a server: where it listens, and when it takes samples.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Callable
from time import time
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

import twisted
from rdv import __version__
from rdv.addresses import AddressSpace, endpoint_address, space_of
from rdv.errors import RdvError
from rdv.server.accounting.metrics import NO_LABELS, Sample
from rdv.server.site.admin import prometheus
from rdv.server.site.admin.history import SECONDS_BETWEEN, History
from rdv.server.site.admin.site import Look, admin_site
from rdv.server.site.listening import close_ports, listen, make_endpoints

__all__ = ["Admin"]

log = Logger()

#: Seconds between two attempts to listen while another process still listens there.
_PAUSE = 0.5


class Admin:
    """
    The admin port.

    :param place: where it listens: a port number of 127.0.0.1, ``HOST:PORT``, or a server endpoint
        string of Twisted.
    :param look: collects all metrics of the server.
    :param expires: returns when the certificate expires, in seconds since 1970; None without one.
    :raises BadEndpoint: when ``place`` cannot be understood.
    """

    def __init__(
        self, reactor: Any, place: str, look: Look, expires: Callable[[], float | None]
    ) -> None:
        self._expires = expires
        self._reactor = reactor
        self._look = look
        self._started = time()
        self._history = History()
        self._ports: list[IListeningPort] = []
        self._again: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self._loop: LoopingCall | None = None
        where = f"127.0.0.1:{place}" if re.fullmatch(r"\d+", place) else place
        self._endpoints = make_endpoints(reactor, [where])

    def start(self, *, patient: bool = False) -> None:
        """
        Listen, as soon as no other process listens there: meanwhile, the server serves clients.

        :param patient: do not log that another process listens there: it is about to leave.
        :raises RdvError: when that is not possible for another reason.
        """
        if not prometheus.is_available():
            log.critical("{reason}", reason=prometheus.MISSING)
        try:
            self._listen()
        except RdvError as error:
            if not _is_taken(error):
                raise
            if not patient:
                log.critical("no admin port yet: {reason}", reason=error)
            self._again = self._reactor.callLater(_PAUSE, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        try:
            self._listen()
        except RdvError:
            self._again = self._reactor.callLater(_PAUSE, self._try_again)
        else:
            log.info("the admin port is open")

    def _listen(self) -> None:
        site = admin_site(self._reactor, self.sample, self._history)
        self._ports = listen(self._endpoints, site)
        for port in self._ports:
            host = port.getHost()
            if not isinstance(host, (IPv4Address, IPv6Address)):
                continue
            if space_of(endpoint_address(host.host, host.port).ip) is not AddressSpace.LOOPBACK:
                log.critical(
                    "the admin port is not on loopback: anyone who can reach it can read it"
                )
        self._loop = LoopingCall(self._remember)
        self._loop.clock = self._reactor
        self._loop.start(SECONDS_BETWEEN)

    def stop(self) -> Deferred[Any]:
        """Stop listening. It may be started again."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        if self._looking is not None:
            self._looking.cancel()
        ports, self._ports = self._ports, []
        return close_ports(ports)

    def sample(self) -> Deferred[Sample]:
        """All metrics, including those that only this process has."""
        return self._look().addCallback(self._complete)

    def _complete(self, sample: Sample) -> Sample:
        python = ".".join(map(str, sys.version_info[:3]))
        build = f"{__version__} {python} {twisted.__version__}"
        expires = self._expires()
        found: Sample = {
            **sample,
            "rdv_start_time_seconds": {NO_LABELS: self._started},
            "rdv_build_info": {build: 1},
        }
        if expires is not None:
            found["rdv_certificate_expiry_timestamp_seconds"] = {NO_LABELS: expires}
        return found

    def _remember(self) -> Deferred[None]:
        self._looking = looking = self.sample().addCallback(self._add)
        looking.addErrback(_say_why)
        return looking

    def _add(self, sample: Sample) -> None:
        self._history.add(sample)


def _is_taken(error: RdvError) -> bool:
    """Whether another process listens there. For a Unix socket, Twisted checks a lock."""
    reason = getattr(error.__cause__, "socketError", None)
    return isinstance(reason, str) or getattr(reason, "errno", None) == errno.EADDRINUSE


def _say_why(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log.failure("the admin port cannot collect its data", failure=failure)
