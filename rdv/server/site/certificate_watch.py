"""
Checks the files of a certificate regularly, and reloads them when they have changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, LogLevel

from rdv.errors import RdvError
from rdv.server.site.certificate import ServerCertificate

__all__ = ["CertificateWatch"]

log = Logger()

#: Seconds between two checks.
_PERIOD = 10.0
#: Seconds after which a warning is repeated.
_REMINDER = 86400.0


class CertificateWatch:
    """
    Reloads ``certificate`` when its files have changed and then stayed the same from one check to
    the next, because two files are not replaced at once. If the new files cannot be used, this is
    logged once, and the old certificate stays in use.

    :param certificate: None if there is none.
    :param is_quiet: do not log this, because another process does.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        certificate: ServerCertificate | None,
        *,
        is_quiet: bool = False,
    ) -> None:
        self._reactor = reactor
        self._certificate = certificate
        self._is_quiet = is_quiet
        self._last: object = None
        self._warned: dict[str, float] = {}
        self._looking: LoopingCall | None = None

    def start(self) -> None:
        """Start checking."""
        if self._certificate is None:
            return
        self._looking = LoopingCall(self._look, self._certificate)
        self._looking.clock = self._reactor
        self._looking.start(_PERIOD)

    def stop(self) -> None:
        """Stop checking."""
        if self._looking is not None and self._looking.running:
            self._looking.stop()

    def _look(self, certificate: ServerCertificate) -> None:
        now = certificate.signature()
        if now == self._last and now != certificate.tried:
            self._read(certificate)
        self._last = now
        self._warn(certificate.warnings())

    def _read(self, certificate: ServerCertificate) -> None:
        try:
            certificate.reload()
        except RdvError as error:
            self._say(
                LogLevel.critical,
                "{reason}: keeping the previous certificate",
                reason=str(error),
            )
        else:
            self._say(
                LogLevel.info,
                "new certificate, expires on {expires:%Y-%m-%d}",
                expires=certificate.expires,
            )

    def _warn(self, found: Iterable[str]) -> None:
        now = self._reactor.seconds()
        for text in found:
            if now - self._warned.get(text, -_REMINDER) >= _REMINDER:
                self._warned[text] = now
                self._say(LogLevel.warn, "{reason}", reason=text)

    def _say(self, level: Any, text: str, **fields: object) -> None:
        log.emit(LogLevel.debug if self._is_quiet else level, text, **fields)
