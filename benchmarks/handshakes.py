"""
Handshakes in memory, for :mod:`benchmarks.secure`: ours, and that of TLS 1.3 through pyOpenSSL, as
Twisted uses it, with an ECDSA certificate that is verified on each side.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from OpenSSL.SSL import Connection, WantReadError
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate

from benchmarks.common import table
from rdv import Secret
from rdv._secure.exchange import SecureAttempt
from rdv._secure.path import Signal
from rdv.test.certificates import Authority
from rdv.wire import Role

__all__ = ["report_handshake"]


def _certificate(authority: Authority) -> tuple[CertificateOptions, CertificateOptions]:
    """TLS options for two sides, each with a certificate."""
    trusted = Certificate.loadPEM(authority.pem)
    issued = (authority.issue("127.0.0.1") for _ in range(2))
    client, server = (PrivateCertificate.loadPEM(pem).options(trusted) for pem in issued)
    return client, server


def _secure_handshake(secret: Secret) -> None:
    """Run both sides, up to the record that authenticates the acceptor."""
    acceptor, dialer = (
        SecureAttempt(role, secret).exchange(is_relay=False)
        for role in (Role.ACCEPTOR, Role.DIALER)
    )
    dialer.feed(acceptor.hello)
    acceptor.feed(dialer.confirm())
    assert acceptor.path is not None
    assert dialer.path is not None
    assert list(dialer.path.receive(b"".join(acceptor.path.say(Signal.READY))))


def _tls_handshake(options: tuple[CertificateOptions, CertificateOptions]) -> None:
    sides = [Connection(each.getContext(), None) for each in options]
    sides[0].set_connect_state()
    sides[1].set_accept_state()
    missing = list(sides)
    while missing:
        for one, other in (sides, sides[::-1]):
            if one in missing:
                try:
                    one.do_handshake()
                    missing.remove(one)
                except WantReadError:
                    pass
            try:
                while True:
                    other.bio_write(one.bio_read(1 << 16))
            except WantReadError:
                pass
    assert sides[0].get_protocol_version_name() == "TLSv1.3"


def report_handshake(runs: int) -> None:
    """Measure and print. The two alternate."""
    secret, options = Secret.generate(), _certificate(Authority())
    kinds: dict[str, Callable[[], None]] = {
        "secured": lambda: _secure_handshake(secret),
        "TLS 1.3": lambda: _tls_handshake(options),
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(runs * 3):
        for name, handshake in kinds.items():
            begun = time.process_time()
            for _ in range(50):
                handshake()
            times[name].append((time.process_time() - begun) / 50)
    pairs = zip(*times.values(), strict=True)
    ratio = median(secured / tls for secured, tls in pairs)
    rows = [[name, f"{median(each) * 1e3:.2f} ms"] for name, each in times.items()]
    print(table(["handshake", "CPU of both"], [*rows, ["ratio", f"{ratio:.2f}"]]), flush=True)
