"""
All texts of ``rdv check``: a table of findings, one of verdicts, one of advice.

Each text has a name, and fields in braces. The part of the name before a slash is its key, for a
program; the part after it selects one of the texts of that key.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["MARKS", "Advice", "Finding", "Weight", "advice", "found", "key_of", "verdict_text"]


class Weight(StrEnum):
    """What a finding means for a connection."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the check has found."""

    key: str
    weight: Weight
    text: str


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to change."""

    key: str
    text: str


MARKS = {"+": Weight.GOOD, " ": Weight.NOTE, "-": Weight.BAD}

#: Each text begins with the mark of its weight.
_FINDINGS = {
    # The path to the server.
    "proxy": "  The server is contacted through the HTTP proxy {proxy}.",
    "no-server": "  No URL was given: rdv started its own server, on loopback.",
    "server-lookup": "- The server's name has no address: {problem}.",
    "server-lookup/proxy": "- The proxy's name has no address: {problem}.",
    "server-unreachable": "- Cannot connect to the server at {address}: {problem}.",
    "server-unreachable/proxy": "- Cannot connect to the proxy at {address}: {problem}.",
    "server-reached": "+ Connected to the server at {address} over IPv{version}, in {time}.",
    "server-reached/proxy": "+ Connected to the proxy at {address} over IPv{version}, in {time}.",
    "server-unreachable/request": "- The request was not answered: {problem}.",
    "server-behind-proxy/request": "- The proxy refuses the connection: {problem}.",
    "without-proxy": "+ The server can also be reached without the proxy, at {address}.",
    "without-proxy/not": "  The server cannot be reached without the proxy: {problem}.",
    "server-refused/request": "- The request was refused: {problem}.",
    "server-not-rdv/request": "- The answer is not rdv/1: {problem}.",
    "server-never-met/request": "- The server did not introduce dialer and acceptor: {problem}.",
    "server-no-path/request": "- Dialer and acceptor met, but even the relay failed: {problem}.",
    "server-no-relay/request": "- Dialer and acceptor met: {problem}.",
    "tls-failed": "- The TLS handshake failed: {problem}.",
    "tls": "  TLS is {tls.version}, {tls.cipher}. The certificate is for {tls.subject}, issued by "
    "{tls.issuer}, valid until {tls.expires}.",
    "tls-untrusted": "- The certificate is not trusted: {problem}.",
    "tls-expires": "  The certificate expires in {days}.",
    # This host.
    "own-addresses": "  This host's addresses: {listed}.",
    "own-addresses/none": "- This host only has loopback addresses.",
    "carrier": "  An address in 100.64.0.0/10: the provider has a carrier-grade NAT (CGNAT).",
    "no-ipv6": "  There is no public IPv6 address.",
    "no-ipv4": "  There is no IPv4 address: peers without IPv6 can only be reached through the "
    "relay.",
    # Where the server sees it.
    "proxied": "  The server sees the proxy, not this host.",
    "same-host": "  The server is on this host: it cannot observe the network.",
    "no-nat": "+ The server sees {where}, an address of this host: there is no NAT.",
    "untold": "- The server does not know this host's address: it expects a proxy to report it, "
    "but no proxy does.",
    "hidden": "- The server sees {where}, which is not this host's address and cannot be reached "
    "from outside: a proxy, or a NAT on its side, hides this host.",
    "hidden/other-ports": "- The server sees {where}, an address of this host, but with other "
    "ports: a proxy or tunnel on this host is in between.",
    "hidden/tunnel": "- The server, reached on this host, sees {where}: a proxy or tunnel hides "
    "this host.",
    "perhaps-hidden/server": "- The server sees {where}, its own address: a proxy hides this "
    "host, unless both are behind the same router.",
    "perhaps-hidden/public": "- The server sees {where}, but this host connects from {source}, "
    "which is also public: a proxy hides this host, or there is a NAT or VPN after all.",
    "inside-nat": "  The server sees {where}, which is not this host's address but local, like "
    "the server's own: there is a NAT or a proxy within the network.",
    "nat": "  The server sees {where}, which is not an address of this host: there are one or "
    "more NATs, or a proxy with a public address, which looks the same.",
    "observed-several": "- The server sees connections from several addresses of this host: peers "
    "may dial a wrong one.",
    # What a NAT does.
    "ports-untold": "  This hides how a NAT maps ports.",
    "ports-kept": "+ The NAT preserves ports ({tried} tried).",
    "ports-mostly-kept": "  The NAT preserves some ports ({kept} of {tried}).",
    "ports-sequential": "  The NAT assigns ports in sequence: {tried}, each {by} above the last.",
    "ports-changed": "- The NAT changes ports, with no pattern in {tried}.",
    "ports-unknown": "  Cannot tell from one connection whether the NAT preserves ports.",
    "second-port": "- The server cannot be reached at its other port, {ports}: a filter only "
    "allows some ports.",
    "mapping-same": "+ The NAT mapping is the same for two ports of the server, at one address.",
    "mapping-differs": "- The NAT mapping is address and port-dependent: it differs for two ports "
    "of the server.",
    "mapping-untold/not-offered": "  Cannot tell whether the NAT mapping depends on the "
    "destination: the server has no second port.",
    "mapping-untold/not-tried": "  Cannot tell whether the NAT mapping depends on the "
    "destination: there was no time left to try the server's second port.",
    "mapping-untold/failed": "  Cannot tell whether the NAT mapping depends on the destination: "
    "the attempt through the server's second port failed.",
    "stray-untold": "  Cannot tell how unsolicited SYNs from outside are handled.",
    "hairpin": "+ A SYN from inside to this host's mapping {target} comes back: the NAT hairpins.",
    "stray-refused": "  A SYN from inside to this host's mapping {target} is refused: {detail}. "
    "SYNs from outside may be handled differently.",
    "stray-silent": "  A SYN from inside to this host's mapping {target} is dropped. SYNs from "
    "outside may be handled differently.",
    "stray-elsewhere": "- A SYN from inside to {target} reaches another host: it is not this "
    "host's mapping.",
    # Connections.
    "relay": "+ Through the relay, dialer and acceptor connect in {time} (median of {count}).",
    "relay-failed": "- One of {count} through the relay failed: {problem}.",
    "half-close/passed": "+ When {who} half-closes a relayed connection, the other direction "
    "stays open.",
    "half-close/both": "- When {who} half-closes a relayed connection, the other direction is "
    "closed too, and data still to come is lost.",
    "half-close/nothing": "- When {who} half-closes a relayed connection, nothing more comes back.",
    "direct": "+ Directly, they connect in {time} (median of {count}), through {peer}, without "
    "leaving this host.",
    "direct-none": "- Dialer and acceptor used the relay although both are on this host.",
    "direct-failed": "- One of {count} within this host failed: {problem}.",
    "throughput": "  The relay carries {rate} MB/s from this host to itself, up and down the "
    "same line ({amount} MB in {time}).",
    "throughput/at-once": "  The relay works from this host to itself ({amount} MB).",
    "throughput/none": "- Nothing sent through the relay arrived within {time}.",
    "relay-broke": "- The relayed connection broke during the throughput test: perhaps the server "
    "limits how much it relays.",
    "late": "  No time was left for: {late}.",
}

#: What kind of network it is, or why the server cannot be used.
_VERDICTS = {
    "no-server": "rdv works on this host. To examine the network, give the URL of a server "
    "outside.",
    "same-host": "The server works. It is on this host, so the network cannot be examined.",
    "proxied": "The server works through the proxy, but cannot see this host's address.",
    "hidden": "The server cannot see its clients' addresses.",
    "perhaps-hidden": "The server probably cannot see its clients' addresses.",
    "no-nat": "Nothing changes this host's address: direct connections are likely with most peers. "
    "Cannot tell from inside whether there is a firewall.",
    "same-network": "This host and the server are on the same network: peers there connect "
    "directly. Cannot tell what lies between it and the internet.",
    "inside-nat": "There is a NAT or a proxy between this host and the server, which is nearby. "
    "Cannot tell what lies between them and the internet.",
    "nat-sequential": "This host is behind a NAT that assigns ports in sequence. Peers dial the "
    "next ports: direct connections are likely with most peers.",
    "nat-sequential/busy": "This host is behind a NAT that assigns ports in sequence. Peers dial "
    "the next {guessed} ports, but others use the NAT too, so direct connections depend on luck.",
    "nat-same-mapping": "This host is behind a NAT that changes ports, but apparently not per "
    "destination: direct connections are likely with most peers.",
    "nat-random": "This host is behind a symmetric NAT: it uses another port for each "
    "destination. Direct connections only work with peers that anybody can reach: public ones "
    "without a firewall, or with a forwarded port. All others use the relay.",
    "nat-keeps-ports": "This host is behind a NAT that preserves ports: direct connections are "
    "likely with most peers.",
    "nat-mostly-keeps-ports": "This host is behind a NAT that preserves some ports: direct "
    "connections work when it does.",
    "nat-changes-ports": "This host is behind a NAT that changes ports. If it is symmetric, "
    "direct connections only work with peers that anybody can reach.",
    "nat": "This host is behind a NAT; nothing more is known about it.",
    "perhaps-filtered": "Only some of the server's ports can be reached from here. If the filter "
    "is near this host, direct connections, which use any port, fail, and all peers use the "
    "relay. If not:",
    # Additions to them.
    "hidden/public": "This host reports its public address itself: direct connections go to "
    "{addresses}.",
    "hidden/private": "This host has no public address to report: peers on other networks use the "
    "relay.",
    "nat/unsure": "Cannot tell whether its mapping depends on the destination.",
    "nat/ipv6": "Over IPv6, which works here, there is no NAT to peers that also have IPv6.",
    # Servers that cannot be used.
    "no-name": "The server cannot be used: its name has no address.",
    "no-name/proxy": "The server cannot be used: the name of the proxy has no address.",
    "no-tls": "The server cannot be used: its TLS does not work.",
    "no-tls/untrusted": "The server cannot be used: its TLS certificate is not trusted.",
    "no-tls/untrusted/incomplete": "The server cannot be used: it sends its TLS certificate "
    "without the intermediate certificates that lead to a trusted one.",
    "unreachable": "The server cannot be used: it does not accept connections from here.",
    "unreachable/proxy": "The server cannot be used: the proxy does not accept connections.",
    "behind-proxy": "The server cannot be used: the proxy refuses the connection.",
    "no-answer/proxy": "The server cannot be used: the proxy cannot reach it, or it does not "
    "answer requests.",
    "no-answer": "The server cannot be used: it accepts connections, but does not answer requests.",
    "refused": "The server cannot be used: it answers with {status}.",
    "never-met": "The server cannot be used: it answers neither dialer nor acceptor.",
    "no-path": "The server cannot be used: nothing gets through after its answer.",
    "no-relay": "The server could not be examined: it only introduces peers, and does not relay.",
    "not-rdv": "The server cannot be used: it does not speak rdv/1.",
    "no-time": "The server could not be examined in the given time.",
}

_ADVICE = {
    "check-name": "Check the name in the URL, and this host's resolver.",
    "check-proxy": "Check the proxy named by --proxy or the environment (HTTPS_PROXY, or "
    "HTTP_PROXY for http).",
    "proxy-credentials": "The proxy requires a user name and password: in its URL, or as "
    "Proxy-Authorization in a --header-file.",
    "ask-proxy": "Many proxies only allow https on port 443: have the server listen there, or ask "
    "the proxy's operator.",
    "without-proxy": "The server can be reached without the proxy: list it in NO_PROXY. It then "
    "sees this host's address, and more peers can connect directly.",
    "check-scheme": "Check whether that port supports TLS, and which versions.",
    "trust": "Get a certificate that is valid for the server's name, or name the authority to "
    "trust (--ca).",
    "whole-chain": "The server must send the whole chain: with rdv serve, use --cert "
    "fullchain.pem instead of cert.pem.",
    "check-server": "Check that the server is running and listening on that port, and check for "
    "firewalls in between.",
    "check-url": "Check the URL.",
    "check-url/port": "Check that an rdv server is listening on that port.",
    "check-url/web": "That is a web server: check the URL.",
    "check-url/moved": "The server has moved; rdv does not follow redirects.",
    "check-path": "The path of the URL is probably not the server's --path.",
    "credentials": "The server requires credentials: see --header, --token-file and --cert.",
    "credentials/forbidden": "The server refuses these credentials (see --header, --token-file and "
    "--cert), or does not serve this network at all: ask its operator.",
    "pass-upgrade": "Either this is not an rdv server, or a proxy in front of it does not pass on "
    "the method, or the Connection and Upgrade headers.",
    "pass-upgrade/after": "A proxy in front of the server must forward the data after a 101.",
    "try-direct": "Try it with rdv accept on one host and rdv dial on the other.",
    "try-later": "The server, or a proxy in front of it, is overloaded: try again later.",
    "too-many": "Too many clients use your address, or your NAT: try again later, or ask the "
    "server's operator to raise the limit.",
    "ask-operator": "Ask the server's operator: the log has the details.",
    "affinity": "Check that it is an rdv server. If there are several servers, all clients of a "
    "token must reach the same one.",
    "more-time": "Allow more time: --timeout.",
    "tell-server": "Configure the proxy to send the clients' addresses, with the PROXY protocol "
    "or a header (--observed-header): see docs/proxies.rst.",
    "give-url": "Run rdv check http://HOST:PORT/ against a server that others can reach.",
    "allow-ports": "If the filter is near this host, allow outgoing connections to all TCP ports: "
    "direct connections need them. If it is at the server, open that port there.",
    "half-close": "Pass TCP or TLS through to the server unchanged (see docs/proxies.rst), or use "
    "another server if this one is the cause: with this relay, a side that replies after the "
    "other has ended is cut off.",
    "half-close/proxy": "Use secrets instead of plain tokens: the proxy, or the server, closes "
    "both directions when the first one ends, which does not affect secured streams.",
    "peers-ipv6": "Give the peers IPv6, which works here: it has no NAT.",
    "peers-ipv6/unseen": "This host has an IPv6 address that was not tried. If it works, there is "
    "no NAT to peers that also have IPv6.",
    "ipv6": "With IPv6 on both sides, there is no NAT to traverse.",
    "forward": "Or have the router forward a TCP port to this host, use it (--local-port), and "
    "report the external address to peers (Client(self_addresses=...)).",
    "second-port": "A server with a second port (-l twice) would reveal more.",
    "renew": "Renew the server's certificate before {expires}.",
}


def found(name: str, **fields: object) -> Finding:
    """The finding of that name, with its fields filled in."""
    text = _FINDINGS[name].format(**fields)
    return Finding(key_of(name), MARKS[text[0]], text[2:])


def advice(name: str, **fields: object) -> Advice:
    """The advice of that name, with its fields filled in."""
    return Advice(key_of(name), _ADVICE[name].format(**fields))


def verdict_text(name: str, **fields: object) -> str:
    """The text of the verdict of that name, with its fields filled in."""
    return _VERDICTS[name].format(**fields)


def key_of(name: str) -> str:
    """The key in the name of a text, for programs."""
    return name.partition("/")[0]
