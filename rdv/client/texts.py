"""
A client's settings as people write them: on a command line, or in the description of an endpoint.
"""

from __future__ import annotations

from pathlib import Path

from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import AddressSpace
from rdv.client.http.verification import tls_policy
from rdv.errors import RdvError
from rdv.wire import Role

__all__ = ["ROLES", "headers_of", "role_of", "spaces_of", "tls_of"]

#: What each does.
ROLES = {"dial": Role.DIALER, "accept": Role.ACCEPTOR}


def role_of(word: str) -> Role:
    """
    A role by what it does: ``dial`` or ``accept``.

    :raises ValueError: when it is neither.
    """
    try:
        return ROLES[word]
    except KeyError:
        raise ValueError(f"not {' or '.join(ROLES)}: {word!r}") from None


def spaces_of(names: str) -> AddressSpace:
    """
    Address spaces by their names, comma separated.

    :raises ValueError: when there is none of that name.
    """
    spaces = AddressSpace.NONE
    for name in names.split(","):
        try:
            spaces |= AddressSpace[name.strip().upper()]
        except KeyError:
            raise ValueError(f"not an address space: {name!r}") from None
    return spaces


def headers_of(lines: list[str]) -> Headers:
    """
    Headers, each as ``NAME: VALUE``.

    :raises ValueError: when one is not, or has a name that cannot be.
    """
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"not NAME: VALUE: {line!r}")
        try:
            headers.addRawHeader(name.strip(), value.strip())
        except ValueError:
            raise ValueError(f"not the name of a header: {name!r}") from None
    return headers


def tls_of(ca: str | None, certificate: str | None) -> IPolicyForHTTPS | None:
    """
    How an ``https`` server is verified, and what it is shown, from the names of files in PEM.

    :return: None when neither is given.
    :raises ValueError: when one cannot be read.
    """
    files: dict[str, bytes] = {}
    for use, path in (("ca", ca), ("certificate", certificate)):
        if path is None:
            continue
        try:
            files[use] = Path(path).read_bytes()
            tls_policy(**{use: files[use]})
        except OSError as error:
            raise ValueError(f"cannot read {path}: {error.strerror}") from error
        except RdvError as error:
            raise ValueError(f"{path}: {error}") from error
    return tls_policy(**files) if files else None
