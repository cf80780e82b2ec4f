"""
Which proxy a command uses.

The commands read the environment, as users expect of a command (curl, git and pip do the same); a
client within another program does not, because that program decides.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from rdv.client.parsing import parse_proxy, parse_server_url
from rdv.client.servers.urls import split_servers
from rdv.commands.running import BadUsage

__all__ = ["proxy_for", "proxy_for_all"]


def proxy_for_all(text: str, given: str | None) -> str | None:
    """
    The same for one server or several, whose URLs are joined by commas.

    :raises BadUsage: also when their proxies differ.
    """
    proxies = {proxy_for(url, given) for url in split_servers(text)}
    if len(proxies) > 1:
        raise BadUsage("these servers use different proxies: give --proxy, '' for none")
    return proxies.pop()


def proxy_for(url: str | None, given: str | None) -> str | None:
    """
    The proxy through which a server is reached, in the form for :class:`rdv.client.Client`.

    :param url: the server's URL; None for our own server.
    :param given: the option on the command line: a proxy, or an empty text for none. Without it,
        the proxy is ``https_proxy`` or ``http_proxy``, depending on the server's URL, in lower or
        upper case, unless ``no_proxy`` names the server, or the server is on this host.
    :raises BadUsage: when the proxy is invalid.
    :raises BadURL: when the server's URL is invalid.
    """
    if url is None:
        return None
    name, proxy = "--proxy", given
    if given is None:
        server = parse_server_url(url)
        known = _in_environment()
        name, proxy = f"{server.scheme}_proxy", known.get(server.scheme)
        if _is_excepted(server.host, server.port or 0, known.get("no", "")):
            return None
    if not proxy:
        return None
    try:
        parse_proxy(proxy)
    except ValueError as error:
        raise BadUsage(f"{name}{str(error).removeprefix('proxy')}") from None
    return proxy


def _in_environment() -> dict[str, str]:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}
    from urllib.request import getproxies_environment  # imported late: it takes 2 ms

    return getproxies_environment()


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """
    Whether a server is contacted without a proxy.

    :param exceptions: ``no_proxy``: names, which include their subdomains, addresses and networks,
        each optionally with a port; or ``*``.
    """
    try:
        ip = ip_address(host)
    except ValueError:  # a name
        ip = None
    if host == "localhost" or (ip is not None and ip.is_loopback):
        return True
    known = [each.strip().lower() for each in exceptions.split(",")]
    known += [each.removesuffix(f":{port}").strip("[]") for each in known]
    if ip is None:
        return "*" in known or any(_is_within(host, each) for each in known)
    return "*" in known or any(ip in network for network in _networks(known))


def _is_within(host: str, name: str) -> bool:
    name = name.removeprefix("*").strip(".")
    return bool(name) and f".{host.rstrip('.')}".endswith(f".{name}")


def _networks(names: list[str]) -> Iterator[IPv4Network | IPv6Network]:
    for name in names:
        with suppress(ValueError):
            yield ip_network(name, strict=False)
