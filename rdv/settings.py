"""
What an operator can set of a server, in one table: ``rdv serve`` and ``twist rdv`` make their flags
of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from rdv.options import file_name, limit, one_of, seconds, size, workers

__all__ = ["FILE", "ServerSettings", "Setting", "server_settings"]

T = TypeVar("T")

LISTENING = "where it listens"
TLS = "TLS"
ACCESS = "who may use it"
LIMITS = "limits for each address, or /64 of IPv6; 0: no limit"
RELAY = "what it relays"
TIMES = "timeouts"
PROXIES = "behind a proxy"
PROCESSES = "processes"
MONITORING = "health, metrics and logs"
FILE = "configuration"


@dataclass(frozen=True)
class Setting:
    """
    One line of the table.

    :ivar field: its name in :class:`ServerSettings`.
    :ivar default: what holds when nobody says anything.
    :ivar text: what a person is told, without the default.
    :ivar group: under which heading.
    :ivar parse: reads a value from text, or raises :class:`ValueError` with a text for a person;
        None for a switch, which has no value.
    :ivar metavar: what stands for the value in a usage.
    :ivar also: other names of it; a single letter is a short flag.
    :ivar repeats: whether it may be given several times; the value is a sequence then.
    """

    field: str
    default: Any
    text: str
    group: str
    parse: Callable[[str], Any] | None
    metavar: str
    also: Sequence[str]
    repeats: bool

    @property
    def flag(self) -> str:
        """Its name on a command line, without dashes. What is on has a flag to turn it off."""
        name = self.field.replace("_", "-")
        return f"no-{name}" if self.parse is None and self.default else name

    @property
    def names(self) -> Sequence[str]:
        """All its names but single letters: on a command line, and as keys of a file."""
        return [self.flag, *(name for name in self.also if len(name) > 1)]

    @property
    def described(self) -> str:
        """What a person is told."""
        if self.parse is None or not self.default:
            return self.text
        default = ", ".join(self.default) if self.repeats else self.default
        text = f"{default:g}" if isinstance(default, float) else str(default)
        return f"{self.text} (default {text})"


def _setting(
    default: T,
    text: str,
    group: str,
    parse: Callable[[str], Any] | None = None,
    *,
    metavar: str = "",
    also: Sequence[str] = (),
    repeats: bool = False,
) -> T:
    of_field = {
        "text": text,
        "group": group,
        "parse": parse,
        "metavar": metavar,
        "also": also,
        "repeats": repeats,
    }
    value: T = field(default=default, metadata=of_field)
    return value


def _limit(default: int, text: str) -> int:
    return _setting(default, text, LIMITS, limit, metavar="N")


@dataclass(frozen=True)
class ServerSettings:
    """
    What an operator can set: text and numbers only, which can be handed to another process. Times
    are in seconds.

    :ivar listen: where to listen: each a port number, ``HOST:PORT``, or a server endpoint string of
        Twisted.
    :ivar tls: where to listen for TLS, likewise.
    :ivar cert: see :class:`rdv.server.site.certificate.ServerCertificate`, as for the next one.
    :ivar key: see there.
    :ivar path: the one path that is served; ``/`` for any.
    :ivar health_path: below which health checks are answered; empty for nowhere.
    :ivar admin: where the operator may look, like one of ``listen``; None for nowhere.
    :ivar lobby_timeout: see :class:`rdv.server.Rendezvous`, as for the next two.
    :ivar align: see there too.
    :ivar drain: what running transfers get when the server is told to stop.
    :ivar relay: whether pairs are relayed that find no direct path.
    :ivar drain_replaced: what they get when a new generation has taken its place.
    :ivar relay_rate: bytes a second; see :class:`rdv.server.RelayLimits`, as for the next two.
    :ivar relay_rate_total: see there.
    :ivar relay_quota: bytes; see there.
    :ivar limits: whether there are any for each address.
    :ivar limit_connections: see :class:`rdv.server.Limits`, as for the next four.
    :ivar observed_header: if given, see :func:`rdv.server.forwarded_address`, as for the next one.
    :ivar observed_port_header: see there.
    :ivar allow: see :mod:`rdv.server.access`, as for the next two.
    :ivar deny: see there too.
    :ivar bearer_file: see there too.
    :ivar serve: see :func:`rdv.server.access.hook.load_hook`.
    :ivar auth_url: see :class:`rdv.server.access.auth_url.AuthURL`, as for the next four.
    :ivar auth_header_file: see there too.
    :ivar auth_pass: see there too.
    :ivar auth_timeout: see there too.
    :ivar auth_cache: see there too.
    :ivar token_key: files of keys, with one of which each token has to be signed.
    :ivar workers: how many processes serve.
    :ivar worker_timeout: after how long without an answer one of them is replaced; 0 for never.
    :ivar pid_file: where the number of the process that serves is written to.
    :ivar log_format: ``text``, ``json`` or ``access``; None for what the program has.
    :ivar log_addresses: how much of clients' addresses is logged: ``full``, ``prefix`` or ``none``.
    :ivar config: the file in which the others may stand; see :mod:`rdv.server.configuration`.
    """

    listen: Sequence[str] = _setting(
        ("8080",),
        "port, HOST:PORT, *:PORT or Twisted endpoint to listen on; repeatable",
        LISTENING,
        str,
        metavar="ADDRESS",
        also=("port", "p", "l"),
        repeats=True,
    )
    path: str = _setting("/", "the only path to serve; / for any", LISTENING, str, metavar="PATH")
    tls: Sequence[str] = _setting(
        (),
        "like --listen, but for https; without --listen there is no plain port then; repeatable",
        TLS,
        str,
        metavar="ADDRESS",
        repeats=True,
    )
    cert: str | None = _setting(
        None,
        "PEM file of the certificate and its chain (fullchain.pem)",
        TLS,
        file_name,
        metavar="FILE",
    )
    key: str | None = _setting(
        None,
        "PEM file of its private key, if that is not in the same file",
        TLS,
        file_name,
        metavar="FILE",
    )
    allow: Sequence[str] = _setting(
        (),
        "let in only clients from this network, or from those in this file; repeatable",
        ACCESS,
        str,
        metavar="CIDR|FILE",
        repeats=True,
    )
    deny: Sequence[str] = _setting(
        (),
        "keep out clients from this network, or from those in this file, even if allowed; "
        "repeatable",
        ACCESS,
        str,
        metavar="CIDR|FILE",
        repeats=True,
    )
    bearer_file: Sequence[str] = _setting(
        (),
        "let in only clients that send Authorization: Bearer with a token in this file, "
        "whose lines are TOKEN or NAME:TOKEN; repeatable",
        ACCESS,
        str,
        metavar="FILE",
        repeats=True,
    )
    token_key: Sequence[str] = _setting(
        (),
        "let in only clients whose token is signed with a key in this file (see rdv token "
        "--key); repeatable",
        ACCESS,
        str,
        metavar="FILE",
        repeats=True,
    )
    serve: str | None = _setting(
        None,
        "ask this Python function about each pair (serve hook)",
        ACCESS,
        str,
        metavar="MODULE:CALLABLE",
    )
    auth_url: str | None = _setting(
        None,
        "ask this URL about each client: 2xx lets it in, 401 and 403 keep it out",
        ACCESS,
        str,
        metavar="URL",
    )
    auth_header_file: str | None = _setting(
        None,
        "send the headers in this file, one a line, to that URL",
        ACCESS,
        str,
        metavar="FILE",
    )
    auth_pass: Sequence[str] = _setting(
        (),
        "pass this header of the client on to that URL, besides Authorization and Cookie; "
        "repeatable",
        ACCESS,
        str,
        metavar="NAME",
        repeats=True,
    )
    auth_timeout: float = _setting(
        5.0, "how long that URL may take to answer", ACCESS, seconds, metavar="SECONDS"
    )
    auth_cache: float = _setting(
        60.0,
        "how long its answers are kept, refusals for 10 s at most; 0: not at all",
        ACCESS,
        seconds,
        metavar="SECONDS",
    )
    limit_connections: int = _limit(256, "connections at a time")
    limit_waiting: int = _limit(128, "clients waiting for their peer at a time")
    limit_pairs: int = _limit(64, "clients in pairs at a time")
    limit_requests: int = _limit(20, "requests a second, with bursts of ten seconds' worth")
    limit_failures: int = _limit(
        60,
        "clients a minute that leave without having met a peer, with bursts of three "
        "minutes' worth",
    )
    limits: bool = _setting(True, "turn all of these limits off", LIMITS)
    relay: bool = _setting(
        True,
        "help peers to connect directly, but relay nothing",
        RELAY,
    )
    relay_rate: int = _setting(
        0,
        "bytes a second relayed in each direction of a pair; 0: no limit",
        RELAY,
        size,
        metavar="BYTES",
    )
    relay_rate_total: int = _setting(
        0,
        "bytes a second relayed for all pairs together, shared fairly; 0: no limit",
        RELAY,
        size,
        metavar="BYTES",
    )
    relay_quota: int = _setting(
        0,
        "bytes relayed for a pair before it is cut; 0: no limit",
        RELAY,
        size,
        metavar="BYTES",
    )
    lobby_timeout: float = _setting(
        300.0,
        "how long a client waits for its peer; 0: for ever",
        TIMES,
        seconds,
        metavar="SECONDS",
    )
    handshake_timeout: float = _setting(
        30.0,
        "how long a matched pair has to connect; 0: for ever",
        TIMES,
        seconds,
        metavar="SECONDS",
    )
    idle_timeout: float | None = _setting(
        None,
        "how long a relayed pair may be silent; 0: for ever (default 600, or 3600 if the "
        "server knows the user of one of the two)",
        TIMES,
        seconds,
        metavar="SECONDS",
    )
    drain: float = _setting(
        5.0,
        "how long relayed connections may go on after SIGTERM or SIGINT",
        TIMES,
        seconds,
        metavar="SECONDS",
    )
    drain_replaced: float = _setting(
        86400.0,
        "how long they may go on after a new generation has taken over (SIGUSR2)",
        TIMES,
        seconds,
        metavar="SECONDS",
    )
    align: bool = _setting(
        True,
        "answer both clients of a pair at once, whatever their round-trip times",
        TIMES,
    )
    observed_header: str | None = _setting(
        None,
        "take the client's IP:PORT from this header, which the proxy must set",
        PROXIES,
        str,
        metavar="NAME",
    )
    observed_port_header: str | None = _setting(
        None,
        "take the client's port from this header, if the other one has only the IP address",
        PROXIES,
        str,
        metavar="NAME",
    )
    workers: int = _setting(
        1,
        "number of processes; 0: one for each processor",
        PROCESSES,
        workers,
        metavar="N",
    )
    worker_timeout: float = _setting(
        30.0,
        "replace a process that has not answered for so long; 0: never",
        PROCESSES,
        seconds,
        metavar="SECONDS",
    )
    pid_file: str | None = _setting(
        None,
        "write the process ID to this file, for signals and --replace",
        PROCESSES,
        str,
        metavar="PATH",
    )
    health_path: str = _setting(
        "/",
        "path below which GET healthz and readyz answer health checks; empty: none",
        MONITORING,
        str,
        metavar="PATH",
    )
    admin: str | None = _setting(
        None,
        "serve metrics and a status page to the operator here, such as 127.0.0.1:9180 or unix:PATH",
        MONITORING,
        str,
        metavar="ADDRESS",
    )
    log_format: str | None = _setting(
        None,
        "text, json (one object a line), or access (one line for each pair, all else to stderr)",
        MONITORING,
        one_of("text", "json", "access"),
        metavar="FORMAT",
    )
    log_addresses: str = _setting(
        "prefix",
        "how much of clients' addresses is logged: full, prefix (/24 and /48) or none",
        MONITORING,
        one_of("full", "prefix", "none"),
        metavar="DETAIL",
    )
    config: str | None = _setting(
        None,
        "file of settings, in TOML, named like these options without the dashes",
        FILE,
        file_name,
        metavar="FILE",
    )


def server_settings() -> Iterator[Setting]:
    """The table, in its order; settings of a group stand together."""
    for each in fields(ServerSettings):
        yield Setting(each.name, each.default, **each.metadata)
