"""
The path to the server: its name, its addresses, and one TLS handshake, which accepts any
certificate, to see what is wrong with it. No request is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from hyperlink import URL
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferTimeoutError
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from rdv._transport.certificates import UNREADABLE, name_text
from rdv._transport.handover import one_protocol
from rdv.addresses import Address
from rdv.check.ends import Closing, End, all_of
from rdv.check.observations import Dial, Tls
from rdv.client.dial.socket import dial
from rdv.client.http.server_endpoint import resolve
from rdv.client.http.verification import check_name, problem_of
from rdv.client.reasons import describe, loss_text, printable

__all__ = ["dial_all", "examine", "lookup"]

#: No more addresses of a server than this are dialled.
_MOST = 6


def _host_of(url: URL) -> str:
    """The host of a server's URL, in the form for a lookup."""
    return url.to_uri().host.strip("[]")


async def lookup(reactor: Any, url: URL, timeout: float) -> tuple[list[Address], str | None]:
    """
    :param timeout: seconds, for IPv4 and again for IPv6.
    :return: the server's addresses, IPv4 first, and if there are none, why.
    """
    found: list[Address] = []
    problem: str | None = None
    for kind in (IPv4Address, IPv6Address):
        try:
            found += await resolve(reactor, _host_of(url), url.port or 0, kind, timeout)
        except DeferTimeoutError:
            problem = "no answer in time"
    return found[:_MOST], None if found else problem or "the name does not resolve"


async def dial_all(reactor: Any, addresses: Sequence[Address], timeout: float) -> list[Dial]:
    """Connect to all addresses concurrently, and close the connections again."""
    dials = [Deferred.fromCoroutine(_dial(reactor, each, timeout)) for each in addresses]
    return await all_of(dials)


async def _dial(reactor: Any, address: Address, timeout: float) -> Dial:
    begun = reactor.seconds()
    try:
        protocol = await dial(reactor, 0, address, Closing(), timeout)
    except ConnectError as error:
        return Dial(address, None, describe(error))
    took = reactor.seconds() - begun
    await protocol.gone
    return Dial(address, took)


# TLS.


async def examine(
    reactor: Any, policy: IPolicyForHTTPS, url: URL, address: Address, timeout: float
) -> Tls:
    """
    Complete a TLS handshake, whether or not the certificate is valid.

    :param policy: the trusted roots, and the client certificate.
    :param timeout: seconds to connect, and again for the handshake.
    """
    host = _host_of(url)
    try:
        creator = policy.creatorForNetloc(host.encode("ascii"), address.port)
    except ValueError as error:
        return Tls(failure=str(error))
    recorder = _Recorder(creator)
    waiting = _Handshake()
    factory: Any = TLSMemoryBIOFactory(recorder, True, one_protocol(waiting))
    protocol = factory.buildProtocol(None)
    assert isinstance(protocol, TLSMemoryBIOProtocol)
    try:
        await dial(reactor, 0, address, protocol, timeout)
    except ConnectError as error:
        return Tls(failure=describe(error))
    give_up = reactor.callLater(timeout, waiting.give_up)
    try:
        await waiting.gone
    except CancelledError:
        waiting.give_up()
        raise
    finally:
        if give_up.active():
            give_up.cancel()
    return recorder.told(waiting, host)


@implementer(IHandshakeListener)
class _Handshake(End):
    """
    Closes the connection when the handshake is complete.

    :ivar complete: whether it is.
    :ivar given_up: whether it has taken too long.
    :ivar reason: why the connection ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self.complete = False
        self.given_up = False
        self.reason: Failure | None = None

    def give_up(self) -> None:
        self.given_up = True
        self.abort()

    def handshakeCompleted(self) -> None:
        self.complete = True
        self.abort()

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason
        super().connectionLost(reason)


@implementer(IOpenSSLClientConnectionCreator)
class _Recorder:
    """
    Lets a handshake continue whether or not the certificate is valid, and records the problems.
    """

    def __init__(self, creator: IOpenSSLClientConnectionCreator) -> None:
        self._creator = creator
        self._problems: dict[str, None] = {}
        self._incomplete = False
        self._connection: SSL.Connection | None = None

    def clientConnectionForTLS(self, tls: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = self._connection = self._creator.clientConnectionForTLS(tls)
        connection.set_verify(SSL.VERIFY_PEER, self._verified)
        return connection

    def _verified(self, *result: Any) -> bool:
        _, certificate, number, depth, good = result
        if not good:
            problem = problem_of(number, certificate, depth)
            self._problems[problem.text] = None
            self._incomplete = self._incomplete or problem.is_unsent
        return True

    def told(self, handshake: _Handshake, host: str) -> Tls:
        """The result, when the connection is gone."""
        if handshake.given_up:
            return Tls(failure="no answer in time")
        lost = handshake.reason
        if lost is not None and not handshake.complete:
            return Tls(failure=loss_text(lost).removeprefix("TLS: "))
        connection = self._connection
        if connection is None:
            return Tls(failure="it was never started")
        certificate = connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return Tls(failure="the server sent no certificate")
        if not _is_for(certificate, host):
            self._problems[f"it is not for the name {host}"] = None
        end = certificate.not_valid_after_utc
        return Tls(
            version=connection.get_protocol_version_name(),
            cipher=connection.get_cipher_name() or "",
            subject=_subject(certificate),
            issuer=name_text(certificate.issuer),
            expires=end.date().isoformat(),
            days=(end - datetime.now(UTC)).days,
            problems=tuple(self._problems),
            incomplete=self._incomplete,
        )


def _is_for(certificate: x509.Certificate, host: str) -> bool:
    try:
        check_name(certificate, host)
    except Exception:  # a certificate that cannot be read proves nothing either
        return False
    return True


def _subject(certificate: x509.Certificate) -> str:
    """The alternative names, which are the ones that count; the subject if there are none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return name_text(certificate.subject)
    found = [str(getattr(name, "value", name)) for name in names]
    more = ["..."] if len(found) > 3 else []
    return printable(", ".join(found[:3] + more).encode()) or name_text(certificate.subject)
