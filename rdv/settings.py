"""
What an operator can set of a server, in one table: ``rdv serve`` and ``twist rdv`` make their flags
of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rdv._setting import Setting, setting, settings_of
from rdv.options import file_name, limit, one_of, seconds, size, workers

__all__ = ["ACCESS", "FILE", "PROCESSES", "ServerSettings", "server_settings"]

LISTENING = "listening"
TLS = "TLS"
ACCESS = "access control"
LIMITS = "limits per address (or IPv6 /64); 0: no limit"
RELAY = "relay"
TIMES = "timeouts"
PROXIES = "behind a reverse proxy"
PROCESSES = "processes"
MONITORING = "health, metrics and logs"
FILE = "configuration"


def _limit(default: int, text: str) -> int:
    return setting(default, text, LIMITS, limit)


@dataclass(frozen=True)
class ServerSettings:
    """
    What an operator can set: text and numbers only, which can be handed to another process. Times
    are in seconds. A running server takes over what has changed, but for what is ``at_start``.

    What each is stands beside it, as a person is told. See also :class:`rdv.server.Rendezvous`,
    :class:`rdv.server.RelayLimits` and :class:`rdv.server.Limits`, which have the same names, and
    :mod:`rdv.server.access`.
    """

    listen: Sequence[str] = setting(
        ("8080",),
        "port, HOST:PORT, *:PORT or Twisted endpoint to listen on; repeatable",
        LISTENING,
        str,
        metavar="ADDRESS",
        also=("port", "p", "l"),
        repeats=True,
        at_start=True,
    )
    path: str = setting(
        "/", "the only path to serve; / for any", LISTENING, str, metavar="PATH", at_start=True
    )
    tls: Sequence[str] = setting(
        (),
        "like --listen, but for https; without --listen, there is no plain port; repeatable",
        TLS,
        str,
        metavar="ADDRESS",
        repeats=True,
        at_start=True,
    )
    cert: str | None = setting(
        None,
        "PEM file of the certificate and its chain (fullchain.pem)",
        TLS,
        file_name,
        at_start=True,
    )
    key: str | None = setting(
        None,
        "PEM file of the private key, if it is not in the same file",
        TLS,
        file_name,
        at_start=True,
    )
    allow: Sequence[str] = setting(
        (),
        "only admit clients from this network, or from the networks in this file; repeatable",
        ACCESS,
        str,
        metavar="CIDR|FILE",
        repeats=True,
    )
    deny: Sequence[str] = setting(
        (),
        "reject clients from this network, or from the networks in this file, even if allowed; "
        "repeatable",
        ACCESS,
        str,
        metavar="CIDR|FILE",
        repeats=True,
    )
    bearer_file: Sequence[str] = setting(
        (),
        "only admit clients that send Authorization: Bearer with a token from this file, with "
        "lines TOKEN or NAME:TOKEN; repeatable",
        ACCESS,
        str,
        metavar="FILE",
        repeats=True,
    )
    token_key: Sequence[str] = setting(
        (),
        "only admit clients whose token is signed with a key in this file (see rdv token --key); "
        "repeatable",
        ACCESS,
        str,
        metavar="FILE",
        repeats=True,
    )
    serve: str | None = setting(
        None,
        "call this Python function with each pair (serve hook)",
        ACCESS,
        str,
        metavar="MODULE:CALLABLE",
        at_start=True,
    )
    auth_url: str | None = setting(
        None,
        "ask this URL about each client: 2xx admits it, 401 and 403 reject it",
        ACCESS,
        str,
        metavar="URL",
    )
    auth_header_file: str | None = setting(
        None,
        "send the headers in this file, one per line, to that URL",
        ACCESS,
        str,
        metavar="FILE",
    )
    auth_pass: Sequence[str] = setting(
        (),
        "also pass this header of the client on to that URL, besides Authorization and Cookie; "
        "repeatable",
        ACCESS,
        str,
        metavar="NAME",
        repeats=True,
    )
    auth_timeout: float = setting(5.0, "time limit for the response of that URL", ACCESS, seconds)
    auth_cache: float = setting(
        60.0,
        "how long to cache its responses, refusals for at most 10 s; 0: no caching",
        ACCESS,
        seconds,
    )
    limit_connections: int = _limit(256, "concurrent connections")
    limit_waiting: int = _limit(128, "clients waiting for their peer")
    limit_pairs: int = _limit(64, "clients in pairs")
    limit_requests: int = _limit(20, "requests per second, with bursts of ten seconds' worth")
    limit_failures: int = _limit(
        60,
        "clients per minute that do not meet a peer at another address, with bursts of three "
        "minutes' worth",
    )
    limits: bool = setting(True, "disable all of these limits", LIMITS)
    relay: bool = setting(True, "only introduce peers to each other; relay nothing", RELAY)
    relay_rate: int = setting(
        0, "relayed bytes per second in each direction of a pair; 0: no limit", RELAY, size
    )
    relay_rate_total: int = setting(
        0,
        "relayed bytes per second for all pairs together, shared fairly; 0: no limit",
        RELAY,
        size,
    )
    relay_quota: int = setting(
        0, "relayed bytes after which a pair is cut; 0: no limit", RELAY, size
    )
    lobby_timeout: float = setting(
        300.0, "how long a client may wait for its peer; 0: no limit", TIMES, seconds
    )
    handshake_timeout: float = setting(
        30.0, "how long a matched pair may take to connect; 0: no limit", TIMES, seconds
    )
    idle_timeout: float | None = setting(
        None,
        "how long a relayed pair may be idle; 0: no limit (default 600, or 3600 if the server "
        "knows the user of either client)",
        TIMES,
        seconds,
    )
    drain: float = setting(
        5.0, "how long relayed connections may continue after SIGTERM or SIGINT", TIMES, seconds
    )
    drain_replaced: float = setting(
        86400.0,
        "how long they may continue after a new generation has taken over (SIGUSR2)",
        TIMES,
        seconds,
    )
    align: bool = setting(
        True,
        "answer both clients of a pair immediately, regardless of their round-trip times",
        TIMES,
    )
    observed_header: str | None = setting(
        None,
        "take the client's IP:PORT from this header, which the proxy must set",
        PROXIES,
        str,
        metavar="NAME",
        at_start=True,
    )
    observed_port_header: str | None = setting(
        None,
        "take the client's port from this header, if the other header only has the IP address",
        PROXIES,
        str,
        metavar="NAME",
        at_start=True,
    )
    workers: int = setting(
        1, "number of processes; 0: one per processor", PROCESSES, workers, at_start=True
    )
    worker_timeout: float = setting(
        30.0,
        "replace a process that has not responded for this long; 0: never",
        PROCESSES,
        seconds,
        at_start=True,
    )
    pid_file: str | None = setting(
        None,
        "write the process ID to this file, for signals and --replace",
        PROCESSES,
        str,
        metavar="PATH",
        at_start=True,
    )
    health_path: str = setting(
        "/",
        "path under which healthz and readyz answer health checks (GET); empty: none",
        MONITORING,
        str,
        metavar="PATH",
    )
    admin: str | None = setting(
        None,
        "serve metrics and a status page for operators here, such as 127.0.0.1:9180 or unix:PATH",
        MONITORING,
        str,
        metavar="ADDRESS",
        at_start=True,
    )
    log_format: str | None = setting(
        None,
        "text, json (one object per line), or access (one line per pair, everything else to "
        "stderr)",
        MONITORING,
        one_of("text", "json", "access"),
        metavar="FORMAT",
        at_start=True,
    )
    log_addresses: str = setting(
        "prefix",
        "how much of client addresses to log: full, prefix (/24 and /48) or none",
        MONITORING,
        one_of("full", "prefix", "none"),
        metavar="DETAIL",
    )
    config: str | None = setting(
        None,
        "TOML file of settings, named like these options without the dashes",
        FILE,
        file_name,
        at_start=True,
    )


def server_settings() -> Iterator[Setting]:
    """The table, in its order; the settings of a group are together."""
    return settings_of(ServerSettings)
