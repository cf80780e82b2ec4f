"""
The URL of a rendezvous server.
"""

from __future__ import annotations

from hyperlink import URL

from rdv.errors import BadURL

__all__ = ["parse_server_url"]


class _ServerURL(URL):
    """A URL whose IPv6 host is not taken for a name to be encoded, as ``idna`` refuses it."""

    def to_uri(self) -> URL:
        if ":" not in self.host:
            return super().to_uri()
        return URL.to_uri(self.replace(host="literal")).replace(host=self.host)


def parse_server_url(text: str) -> URL:
    """
    Read ``http://host[:port][/path]`` or ``https://...``, in the form that treq can be given.

    :raises BadURL: when it is anything else.
    """
    try:
        url = _ServerURL.from_text(text)
        url = url.replace(scheme=url.scheme.lower())
        url.to_uri()
    except ValueError as error:
        raise BadURL(f"not a URL: {text!r} ({error})") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise BadURL(f"not an http:// or https:// URL: {text!r}")
    if url.userinfo:
        raise BadURL("a user does not belong in the URL but in the request: auth=(user, password)")
    if url.port is not None and not 0 < url.port <= 0xFFFF:
        raise BadURL(f"not a port: {url.port} in {text!r}")
    return url
