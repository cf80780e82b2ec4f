"""
Text from operators and users: files, variables, flags, addresses; and messages between the
processes of a server.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import formatEvent

from benchmarks.fuzzing.engine import Target
from rdv import options
from rdv.client.parsing import headers_of, parse_proxy, parse_server_url, spaces_of
from rdv.errors import BadEndpoint, BadRequest, BadSettings, BadURL, RdvError
from rdv.forwarding.places import BadPlace, parse_place
from rdv.server.access.bearer import BearerTokens
from rdv.server.access.door import Check
from rdv.server.access.networks import AddressLists
from rdv.server.access.token_key import TokenKeys
from rdv.server.accounting.metrics import METRICS, NO_LABELS
from rdv.server.configuration.reading import PREFIX, Configuration
from rdv.server.site.listening import make_endpoints
from rdv.server.workers.orders import Start
from rdv.server.workers.polling import Polling
from rdv.server.workers.reports import report, reported
from rdv.settings import server_settings
from rdv.test.server.access.doubles import visitor

__all__ = ["TARGETS"]

_FLAGS = [name.encode() for each in server_settings() for name in each.names]
_CHECKS: tuple[Callable[[str], Check], ...] = (
    lambda path: AddressLists([path], []),
    lambda path: AddressLists([], [path]),
    lambda path: BearerTokens([path]),
    lambda path: TokenKeys([path]),
)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def _file(content: bytes) -> str:
    path = Path(_folder().name, str(os.getpid()))
    path.touch(0o600)
    path.write_bytes(content)
    return str(path)


def _is_line(text: str) -> None:
    assert text and len(text.splitlines()) == 1, "not one line"
    assert len(text) < 1000, "a line that is too long"


def files(data: bytes) -> None:
    """Files with networks and secrets: accepted, or refused with one line."""
    path = _file(data)
    for make in _CHECKS:
        try:
            check = make(path)
        except RdvError as error:
            _is_line(str(error))
            continue
        for one in (visitor(authorization=[b"Bearer " + data]), visitor(observed="[::1]:80")):
            with suppress(BadRequest):
                check(one)


def toml(data: bytes) -> None:
    """A configuration: accepted, or refused with lines; reading it again changes nothing."""
    try:
        configuration = Configuration({"config": _file(data)}, {})
    except BadSettings as error:
        for line in error.refusals:
            _is_line(line)
        return
    configuration.reload(_unexpected)
    start = Start(0, 1, 3, [], "info", configuration.settings)
    assert Start.from_json(start.to_json()) == start


def _unexpected(settings: object) -> None:
    raise AssertionError("changed without a change")


def environment(data: bytes) -> None:
    """The same for environment variables, one a line."""
    text = data.decode("utf-8", "surrogateescape").replace("\0", "")
    lines = [each.partition("=") for each in text.split("\n")]
    variables = {f"{PREFIX}{name}": value for name, _, value in lines if name != "CONFIG"}
    try:
        Configuration({}, variables)
    except BadSettings as error:
        for line in error.refusals:
            _is_line(line)


def values(data: bytes) -> None:
    """Values of flags; a ValueError is for argparse."""
    text = data.decode("utf-8", "surrogateescape")
    for read in (
        *(options.seconds, options.size, options.port, options.file_name, options.forwards),
        *(options.limit, options.workers, parse_place, parse_proxy, spaces_of, parse_server_url),
    ):
        with suppress(ValueError, BadPlace, BadURL):
            read(text)
    with suppress(ValueError):
        headers_of(text.split("\n"))


def listening(data: bytes) -> None:
    """Text that names where to listen; nothing listens."""
    text = data.decode("utf-8", "surrogateescape")
    if not text.startswith(("ssl:", "tls:", "txrdv", "rdv", "stdio")):  # these open files
        try:
            make_endpoints(MemoryReactorClock(), [text])
        except BadEndpoint as error:
            assert len(str(error).splitlines()) == 1


def polling(data: bytes) -> None:
    """The counters of a worker: accepted, or an error in the log."""
    said: list[str] = []
    clock = Clock()
    numbers = Polling(clock, lambda: None, lambda: [0, 1], 2)
    for line in data.split(b"\n"):
        sample = numbers.sample()
        numbers.answered(0, line)
        numbers.answered(1, line)
        clock.advance(1)
        sample.addCallback(lambda total: said.append(json.dumps(total)))
        sample.addErrback(lambda failure: failure.raiseException())
    numbers.ended(0, died=True)
    assert len(said) == data.count(b"\n") + 1


def reports(data: bytes) -> None:
    """A log event of a worker. If an observer fails, that is not the publisher's fault."""
    with suppress(ValueError):  # as the parent does
        formatEvent(reported(data.decode(), 7))


_SAMPLE = json.dumps({each.name: {NO_LABELS: 1.5} for each in METRICS[:4]}).encode()
_EVENT = report({"log_format": "{a}", "a": 1, "log_time": 1.0, "log_namespace": "x"}).encode()
_JSON = [b"{", b"}", b"[", b"]", b'""', b":", b",", b"null", b"1e999", b"NaN", b"[" * 60, b'"a":']

TARGETS = {
    "files": Target(
        files,
        [b"10.0.0.0/8\n2001:db8::/32\n", b"# a\nalice:" + b"a" * 20, b"k" * 32 + b"\r\nx"],
        [b"/", b"::", b"10.0.0.0", b"/33", b"a" * 16, b"\n", b"#", "\u2028é".encode(), b"::/0"],
    ),
    "toml": Target(
        toml,
        [
            b'listen = [8080, "*:443"]\nlobby-timeout = "5m"\nrelay = false\n',
            b'path = "/rdv"\nrelay-rate = "10M"\nlimit-pairs = 7\n',
        ],
        [
            *_FLAGS,
            b" = ",
            b'"',
            b"'''",
            b"[",
            b"]",
            b"{",
            b"}",
            b"1979-05-27",
            b"0x",
            b"true",
            b"\n",
        ],
        4096,
    ),
    "environment": Target(
        environment,
        [b"LISTEN=8080,8081\nLOBBY_TIMEOUT=5m\n", b"NO_RELAY=yes\nRELAY_RATE=10M"],
        [each.upper().replace(b"-", b"_") for each in _FLAGS] + [b"=", b",", b"\n", b"yes", b"0"],
    ),
    "values": Target(
        values,
        [
            *(b"1.5m", b"10M", b"8080", b"[::1]:22", b"/run/x.sock", b"public4,loopback"),
            *(b"A: b", b"http://user:pass@host:3128", b"https://example.com:8443/rdv?x=1"),
            "http://ä/".encode(),
        ],
        [
            *(b"://", b"@", b"%", b":", b"nan", b"inf", b"1e9", b"_", b"[", b"]", b"/"),
            *(b"xn--", b"rdvs1-"),
        ],
        200,
    ),
    "listening": Target(
        listening,
        [
            b"8080",
            b"*:443",
            b"[::1]:8080",
            b"unix:/x:mode=600",
            b"haproxy:tcp:1",
            b"tcp:1:interface=a",
        ],
        [
            b":",
            b"\\",
            b"=",
            b"tcp:",
            b"unix:",
            b"haproxy:",
            b"systemd:",
            b"interface=",
            b"backlog=",
        ],
        200,
    ),
    "polling": Target(
        polling, [_SAMPLE, b'{"a":{"":5}}', b'{"a":1}', _SAMPLE + b"\n" + _SAMPLE], _JSON, 4096
    ),
    "reports": Target(reports, [_EVENT], [*_JSON, b'"log_level":', b'"__class_uuid__":'], 4096),
}
