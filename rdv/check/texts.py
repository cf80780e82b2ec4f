"""
All that ``rdv check`` says: a table of findings, one of verdicts, one of advice.

Each text has a name, with fields in braces. What stands before a slash is its key, for a program;
behind it, which of the texts of that key it is.
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
    """Something that was found out."""

    key: str
    weight: Weight
    text: str


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to change."""

    key: str
    text: str


MARKS = {"+": Weight.GOOD, " ": Weight.NOTE, "-": Weight.BAD}

#: Each behind the mark of its weight.
_FINDINGS = {
    # The way to the server.
    "proxy": "  The server is asked through the HTTP proxy {proxy}.",
    "no-server": "  No URL was given: this is a server of our own, on loopback.",
    "server-lookup": "- The server's name has no address: {problem}.",
    "server-lookup/proxy": "- The proxy's name has no address: {problem}.",
    "server-unreachable": "- Cannot connect to the server at {address}: {problem}.",
    "server-unreachable/proxy": "- Cannot connect to the proxy at {address}: {problem}.",
    "server-reached": "+ Connected to the server at {address} over IPv{version}, in {time}.",
    "server-reached/proxy": "+ Connected to the proxy at {address} over IPv{version}, in {time}.",
    "server-unreachable/request": "- The request was not answered: {problem}.",
    "server-behind-proxy/request": "- The proxy does not let us through: {problem}.",
    "without-proxy": "+ The server can be reached without the proxy, too, at {address}.",
    "without-proxy/not": "  The server cannot be reached without the proxy: {problem}.",
    "server-refused/request": "- The request was refused: {problem}.",
    "server-not-rdv/request": "- The answer is not rdv/1: {problem}.",
    "server-never-met/request": "- The server left dialer and acceptor waiting: {problem}.",
    "server-no-path/request": "- Dialer and acceptor met, but even the relay failed: {problem}.",
    "server-no-relay/request": "- Dialer and acceptor met: {problem}.",
    "tls-failed": "- The TLS handshake failed: {problem}.",
    "tls": "  TLS is {tls.version}, {tls.cipher}. The certificate is for {tls.subject}, issued by "
    "{tls.issuer}, valid until {tls.expires}.",
    "tls-untrusted": "- The certificate is not trusted: {problem}.",
    "tls-expires": "  The certificate expires in {days}.",
    # This host.
    "own-addresses": "  This host's addresses: {listed}.",
    "own-addresses/none": "- This host has no address except on loopback.",
    "carrier": "  An address in 100.64.0.0/10: the provider has a carrier-grade NAT (CGNAT).",
    "no-ipv6": "  There is no public IPv6 address.",
    "no-ipv4": "  There is no IPv4 address: peers without IPv6 are reached through the relay only.",
    # Where the server sees it.
    "proxied": "  The server sees the proxy, and not this host.",
    "same-host": "  The server is on this host: it sees nothing of the network.",
    "no-nat": "+ The server sees {where}, an address of this host: there is no NAT.",
    "untold": "- The server does not know our address: it expects a proxy to tell, and none does.",
    "hidden": "- The server sees {where}, which is not ours and cannot be reached from outside: a "
    "proxy, or a NAT on its side, hides us.",
    "hidden/other-ports": "- The server sees {where}, an address of this host, but not our ports: "
    "a proxy or tunnel on this host hides us.",
    "hidden/tunnel": "- The server, reached on this host, sees {where}: a proxy or tunnel hides "
    "us.",
    "perhaps-hidden/server": "- The server sees {where}, its own address: a proxy hides us, unless "
    "both are behind the same router.",
    "perhaps-hidden/public": "- The server sees {where}, but we come from {source}, which is "
    "public too: a proxy hides us, or there is a NAT or VPN nevertheless.",
    "inside-nat": "  The server sees {where}, which is not ours but local, like its own address: "
    "there is a NAT or a proxy within the network.",
    "nat": "  The server sees {where}, which is not an address of this host: there is a NAT, or "
    "several, or a proxy with a public address, which looks the same.",
    "observed-several": "- Our connections come from several addresses: peers may dial a wrong "
    "one.",
    # What a NAT does.
    "ports-untold": "  What a NAT does with our ports cannot be seen through that.",
    "ports-kept": "+ The NAT preserves ports ({tried} tried).",
    "ports-mostly-kept": "  The NAT preserved {kept} of {tried}.",
    "ports-sequential": "  The NAT assigns ports in sequence: {tried}, each {by} above the last.",
    "ports-changed": "- The NAT changes ports, with no pattern in {tried}.",
    "ports-unknown": "  Cannot tell from one connection whether the NAT preserves ports.",
    "second-port": "- The server cannot be reached at its other port, {ports}: something lets only "
    "some ports through.",
    "mapping-same": "+ The NAT mapping is the same for two ports of the server, at one address.",
    "mapping-differs": "- The NAT mapping is address and port-dependent: it differs for two ports "
    "of the server.",
    "mapping-untold/not-offered": "  Cannot tell whether the NAT mapping depends on the "
    "destination: the server has no second port.",
    "mapping-untold/not-tried": "  Cannot tell whether the NAT mapping depends on the destination: "
    "no time was left to try the server's second port.",
    "mapping-untold/failed": "  Cannot tell whether the NAT mapping depends on the destination: "
    "the attempt through the server's second port failed.",
    "stray-untold": "  Cannot tell how unsolicited SYNs from outside are treated.",
    "hairpin": "+ A SYN from inside to our mapping {target} comes back to us: the NAT hairpins.",
    "stray-refused": "  A SYN from inside to our mapping {target} is refused: {detail}. One from "
    "outside may fare differently.",
    "stray-silent": "  A SYN from inside to our mapping {target} is dropped. One from outside may "
    "fare differently.",
    "stray-elsewhere": "- A SYN from inside to {target} reaches somebody else: it is not our "
    "mapping.",
    # Connections.
    "relay": "+ Through the relay, dialer and acceptor connect in {time} (median of {count}).",
    "relay-failed": "- One of {count} through the relay failed: {problem}.",
    "half-close/passed": "+ When {who} half-closes a relayed connection, the other direction "
    "stays open.",
    "half-close/both": "- When {who} half-closes a relayed connection, the other direction is "
    "closed too, and data still to come is lost.",
    "half-close/nothing": "- When {who} half-closes a relayed connection, nothing more comes back.",
    "direct": "+ Directly, they connect in {time} (median of {count}), by {peer}; that never left "
    "this host.",
    "direct-none": "- Given this host's own addresses, they took the relay nevertheless.",
    "direct-failed": "- One of {count} with this host's own addresses failed: {problem}.",
    "throughput": "  The relay carries {rate:.3g} MB/s from this host to itself, up and down the "
    "same line ({amount:.3g} MB in {time}).",
    "throughput/at-once": "  The relay works from this host to itself ({amount:.3g} MB).",
    "throughput/none": "- Nothing sent through the relay arrived within {time}.",
    "relay-broke": "- The relayed connection broke during the throughput test.",
    "late": "  There was no time for: {late}.",
}

#: What kind of network it is, or why the server cannot be used.
_VERDICTS = {
    "no-server": "rdv works on this host. To judge its network, give the URL of a server outside.",
    "same-host": "The server works. It is on this host, so the network cannot be judged.",
    "proxied": "The server works through the proxy, and cannot see where this host is.",
    "hidden": "The server cannot see where its clients are.",
    "perhaps-hidden": "The server probably cannot see where its clients are.",
    "no-nat": "Nothing changes this host's address: direct connections are likely with most peers. "
    "Cannot tell from inside whether there is a firewall.",
    "same-network": "This host and the server are in one network: peers there connect directly. "
    "Cannot tell what lies between it and the internet.",
    "inside-nat": "There is a NAT or a proxy between this host and the server, which is near. "
    "Cannot tell what lies between them and the internet.",
    "nat-sequential": "This host is behind a NAT that assigns ports in sequence. Peers dial the "
    "next ones: direct connections are likely with most.",
    "nat-sequential/busy": "This host is behind a NAT that assigns ports in sequence. Peers dial "
    "the next {guessed}, but others use it too: a direct connection takes luck.",
    "nat-same-mapping": "This host is behind a NAT that changes ports, but not by destination, as "
    "far as tried: direct connections are likely with most peers.",
    "nat-random": "This host is behind a symmetric NAT: it takes another port for each "
    "destination. Direct connections work only with peers that anybody can reach: public ones "
    "without a firewall, or with a forwarded port. The relay is for the others.",
    "nat-keeps-ports": "This host is behind a NAT that preserves ports: direct connections are "
    "likely with most peers.",
    "nat-mostly-keeps-ports": "This host is behind a NAT that preserves some ports: direct "
    "connections work when it does.",
    "nat-changes-ports": "This host is behind a NAT that changes ports. If it is symmetric, direct "
    "connections work only with peers that anybody can reach.",
    "nat": "This host is behind a NAT of which nothing more is known.",
    "perhaps-filtered": "Only some of the server's ports can be reached from here. If the reason "
    "is near, direct connections, which use any port, fail, and all peers get the relay. If not:",
    # What may follow one of them.
    "hidden/public": "This host reports its public address itself: direct connections go to "
    "{addresses}.",
    "hidden/private": "This host has no public address to report: peers elsewhere get the relay.",
    "nat/unsure": "Cannot tell whether its mapping depends on the destination.",
    "nat/ipv6": "Over IPv6, which works here, there is no NAT for peers that have it too.",
    # Servers that cannot be used.
    "no-name": "The server cannot be used: its name has no address.",
    "no-name/proxy": "The server cannot be used: the name of the proxy has no address.",
    "no-tls": "The server cannot be used: its TLS does not work.",
    "no-tls/untrusted": "The server cannot be used: its TLS certificate is not trusted.",
    "no-tls/untrusted/incomplete": "The server cannot be used: it sends its TLS certificate, but "
    "not those that lead from there to one that is trusted.",
    "unreachable": "The server cannot be used: it does not accept connections from here.",
    "unreachable/proxy": "The server cannot be used: the proxy does not accept connections.",
    "behind-proxy": "The server cannot be used: the proxy does not let us through.",
    "no-answer/proxy": "The server cannot be used: the proxy does not reach it, or it answers no "
    "request.",
    "no-answer": "The server cannot be used: it accepts connections, but answers no request.",
    "refused": "The server cannot be used: it answers with {status}.",
    "never-met": "The server cannot be used: it answers neither dialer nor acceptor.",
    "no-path": "The server cannot be used: nothing gets through after its answer.",
    "no-relay": "The server could not be examined: it introduces peers, and relays nothing.",
    "not-rdv": "The server cannot be used: it does not speak rdv/1.",
    "no-time": "The server could not be examined in the given time.",
}

_ADVICE = {
    "check-name": "Check the name in the URL, and this host's resolver.",
    "check-proxy": "Check the proxy that --proxy or the environment names (HTTPS_PROXY, and "
    "HTTP_PROXY for http).",
    "proxy-credentials": "The proxy requires a user and a password: in its URL, or "
    "Proxy-Authorization in a --header-file.",
    "ask-proxy": "Many proxies let nothing but https at port 443 through: have the server listen "
    "there, or ask whoever runs the proxy.",
    "without-proxy": "The server can be reached without the proxy: name it in NO_PROXY. Then it "
    "sees this host, and more peers can be met directly.",
    "check-scheme": "Check whether that port speaks TLS, and which versions.",
    "trust": "Get the server a certificate that is valid for its name, or say whom to trust "
    "(--ca).",
    "whole-chain": "Its operator has to let it send the whole chain: with rdv serve, --cert takes "
    "fullchain.pem rather than cert.pem.",
    "check-server": "Check that it runs and listens on that port, and for filters in between.",
    "check-url": "Check the URL.",
    "check-url/port": "Check that it is an rdv server, and nothing else, on that port.",
    "check-url/web": "That is a web server: check the URL.",
    "check-url/moved": "It is elsewhere; redirects are not followed.",
    "check-path": "The path of the URL is probably not the server's --path.",
    "credentials": "It wants to know who asks: see --header, --token-file and --cert.",
    "pass-upgrade": "Either it is not an rdv server, or a proxy in front of it does not pass on "
    "the method, or the headers Connection and Upgrade.",
    "pass-upgrade/after": "A proxy in front of it has to pass on what follows a 101.",
    "try-direct": "Try it with rdv accept on one host and rdv dial on the other.",
    "try-later": "It, or a proxy in front of it, is overloaded: try later.",
    "too-many": "Too many clients come from your address, or from behind your NAT: try later, or "
    "ask its operator for more.",
    "ask-operator": "Only the server's operator can know more, from its log.",
    "affinity": "Check that it is an rdv server. If there are several servers, all clients of a "
    "token have to reach the same one.",
    "more-time": "Allow more time: --timeout.",
    "tell-server": "Have the server told its clients' addresses, by the PROXY protocol or a header "
    "(--observed-header): see docs/proxies.rst.",
    "give-url": "rdv check http://HOST:PORT/ asks a server that others can reach.",
    "allow-ports": "If a filter near here is the reason, allow all TCP ports out: direct "
    "connections need them. If it is the server's, open that port there.",
    "half-close": "Have TCP or TLS passed on to the server as it is (see docs/proxies.rst), "
    "or use another server, if it is this one: with this relay, whoever answers after the other "
    "side has ended is cut off.",
    "half-close/proxy": "Share secrets, not plain tokens: the proxy, or the server, closes both "
    "directions when the first one ends, which secured streams do not mind.",
    "peers-ipv6": "Get the peers IPv6, which works here: it has no NAT.",
    "peers-ipv6/unseen": "This host has an IPv6 address that was not tried. If it works, there is "
    "no NAT for peers that have IPv6 too.",
    "ipv6": "With IPv6 on both sides there is no NAT to traverse.",
    "forward": "Or have the router forward a TCP port to this host, use it (--local-port), and "
    "tell peers the address outside (Client(self_addresses=...)).",
    "second-port": "A server with a second port (-l twice) would tell more.",
    "renew": "Have the server's certificate renewed before {expires}.",
}


def found(name: str, **fields: object) -> Finding:
    """The finding of that name, its fields filled."""
    text = _FINDINGS[name].format(**fields)
    return Finding(key_of(name), MARKS[text[0]], text[2:])


def advice(name: str, **fields: object) -> Advice:
    """The advice of that name, its fields filled."""
    return Advice(key_of(name), _ADVICE[name].format(**fields))


def verdict_text(name: str, **fields: object) -> str:
    """The text of the verdict of that name, its fields filled."""
    return _VERDICTS[name].format(**fields)


def key_of(name: str) -> str:
    """What programs know it by."""
    return name.partition("/")[0]
