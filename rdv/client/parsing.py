"""
Parses what people write for a client: in a program, on a command line, or in an endpoint
description.
"""

from __future__ import annotations

import re
from base64 import b64encode
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote_to_bytes

from hyperlink import URL
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv import _knobs as knobs
from rdv.addresses import AddressSpace
from rdv.client.http.policy import tls_policy
from rdv.client.http.proxy import Proxy
from rdv.errors import BadURL, RdvError
from rdv.wire import Role, is_secret

__all__ = [
    "ROLES",
    "headers_of",
    "parse_proxy",
    "parse_server_url",
    "role_of",
    "spaces_of",
    "tls_of",
]

#: The roles, by what they do.
ROLES = {"dial": Role.DIALER, "accept": Role.ACCEPTOR}

#: How many parsed URLs are cached: a client may use the same one often, and parsing takes 0.2 ms.
_MOST_URLS = 64
_HOST = re.compile(r"[0-9a-f.:]*:[0-9a-f.:]*|([a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?)?")


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

    :raises ValueError: when a name is unknown.
    """
    spaces = AddressSpace.NONE
    for name in names.split(","):
        try:
            spaces |= AddressSpace[name.strip().upper()]
        except KeyError:
            known = ", ".join(each.lower() for each in AddressSpace.__members__)
            raise ValueError(f"not an address space: {name!r}; there are {known}") from None
    return spaces


def headers_of(lines: list[str]) -> Headers:
    """
    Headers, each as ``NAME: VALUE``.

    :raises ValueError: when one has another form, or an invalid name.
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
    The policy for an ``https`` server, from the paths of PEM files: certificates to trust, and a
    client certificate.

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


class _ServerURL(URL):
    """
    A URL whose host is encoded only if necessary: ``idna`` refuses IPv6 addresses, and names with
    an underscore.
    """

    def to_uri(self) -> URL:
        return _uri_of(self)


@lru_cache(maxsize=_MOST_URLS)
def _uri_of(url: _ServerURL) -> URL:
    if not url.host.isascii():
        return URL.to_uri(url)
    return URL.to_uri(url.replace(host="literal")).replace(host=url.host)


def parse_server_url(text: str) -> URL:
    """
    Read ``http://host[:port][/path]`` or ``https://...``, as a URL that treq accepts.

    :raises BadURL: when it is anything else.
    :raises TypeError: when it is not text.
    """
    knobs.instance("url", text, str, "text")
    if is_secret(text):
        raise BadURL("a secret instead of the server's URL")
    return _parsed(text)


@lru_cache(maxsize=_MOST_URLS)
def _parsed(text: str) -> URL:
    try:
        url = _ServerURL.from_text(text)
        url = url.replace(scheme=url.scheme.lower(), host=url.host.lower())
        url.to_uri()
    except ValueError as error:
        raise BadURL(f"not a URL: {text!r} ({error})") from None
    except UnboundLocalError:  # hyperlink 21, for invalid UTF-8 in brackets
        raise BadURL(f"not a URL: {text!r} (not an IPv6 address)") from None
    if url.host.isascii() and not _HOST.fullmatch(url.host):
        raise BadURL(f"not a URL: {text!r} (not a host: {url.host!r})")
    if url.scheme not in ("http", "https") or not url.host:
        raise BadURL(f"not an http:// or https:// URL: {text!r}")
    if url.userinfo:
        raise BadURL(
            "a user does not belong in the URL but in a header, Authorization: --header-file, or "
            "headers= or auth= in a program"
        )
    if url.port is not None and not 0 < url.port <= 0xFFFF:
        raise BadURL(f"not a port: {url.port} in {text!r}")
    return url


def parse_proxy(text: str) -> Proxy:
    """
    Read ``http://[user:password@]host[:port]``, with or without ``http://``. Characters of a user
    or password that are not letters may be written as in URLs, with ``%``.

    :raises ValueError: when it is anything else. Its text repeats nothing that may be a password.
    :raises TypeError: when it is not text.
    """
    knobs.instance("proxy", text, str, "text")
    scheme, separator, rest = text.partition("://")
    user_info, _, place = (rest if separator else text).rpartition("@")
    if separator and scheme.lower() in ("https", "socks4", "socks4a", "socks5", "socks5h"):
        raise ValueError(f"proxy: only http:// proxies are supported, not {scheme.lower()}://")
    try:
        url = parse_server_url(place if is_secret(place) else f"http://{place}").to_uri()
    except BadURL:
        url = None
    more = url is None or any(url.path) or url.query or url.fragment
    if url is None or more or (separator and scheme.lower() != "http"):
        raise ValueError("proxy: not http://[USER:PASSWORD@]HOST:PORT")
    return Proxy(url.host, url.port or 80, _credentials(user_info) if user_info else None)


def _credentials(user_info: str) -> bytes:
    """The header value for HTTP's basic authentication (RFC 7617)."""
    user, _, password = user_info.partition(":")
    return b"Basic " + b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password))
