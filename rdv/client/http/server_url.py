"""
The URL of a rendezvous server.
"""

from __future__ import annotations

import re

from hyperlink import URL

from rdv import _knobs as knobs
from rdv.errors import BadURL

__all__ = ["parse_server_url"]


_HOST = re.compile(r"[0-9a-f.:]*:[0-9a-f.:]*|([a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?)?")


class _ServerURL(URL):
    """
    A URL whose host is encoded only if it has to be: ``idna`` refuses IPv6 addresses, and names
    with an underscore.
    """

    def to_uri(self) -> URL:
        if not self.host.isascii():
            return super().to_uri()
        return URL.to_uri(self.replace(host="literal")).replace(host=self.host)


def parse_server_url(text: str) -> URL:
    """
    Read ``http://host[:port][/path]`` or ``https://...``, in the form that treq can be given.

    :raises BadURL: when it is anything else.
    :raises TypeError: when it is no text.
    """
    knobs.instance("url", text, str, "text")
    try:
        url = _ServerURL.from_text(text)
        url = url.replace(scheme=url.scheme.lower(), host=url.host.lower())
        url.to_uri()
    except ValueError as error:
        raise BadURL(f"not a URL: {text!r} ({error})") from None
    if url.host.isascii() and not _HOST.fullmatch(url.host):
        raise BadURL(f"not a URL: {text!r} (not a host: {url.host!r})")
    if url.scheme not in ("http", "https") or not url.host:
        raise BadURL(f"not an http:// or https:// URL: {text!r}")
    if url.userinfo:
        raise BadURL(
            "a user does not belong in the URL but in a header: --header 'Authorization: ...', or "
            "headers= or auth= in a program"
        )
    if url.port is not None and not 0 < url.port <= 0xFFFF:
        raise BadURL(f"not a port: {url.port} in {text!r}")
    return url
