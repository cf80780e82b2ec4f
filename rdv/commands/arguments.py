"""
The arguments of the ``rdv`` command.
"""

from __future__ import annotations

import argparse

from rdv._stdio.console import Form
from rdv.commands.command_line import CommandParser, arranged, checked, parser_for
from rdv.commands.shared_arguments import (
    add_form,
    add_header,
    add_proxy,
    add_seconds,
    add_server,
    add_spaces,
    add_tls,
)
from rdv.options import forwards, port, seconds

TYPE_CHECKING = False  # importing that of typing takes 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeAlias

    _Commands: TypeAlias = argparse._SubParsersAction[CommandParser]

__all__ = ["parse"]


def parse(words: Sequence[str], form: Form = Form.TEXT) -> argparse.Namespace:
    """
    Read a command line. Wrong usage, or a request for help, ends the program.

    It does not import Twisted, so help is immediate.

    :param words: without the program's own name.
    :param form: how wrong usage is reported: lines for a human, or JSON.
    """
    top = parser_for(form)(
        prog="rdv",
        description="Relay-assisted peer-to-peer TCP connections.",
        epilog="Run rdv COMMAND --help for the options of a command. They may also precede the "
        "command.",
    )
    top.add_argument("--version", action="version", version=_version())
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    of_commands = list(_each(commands))
    # Each option takes time to create. Those of other commands only matter for words before the
    # command.
    first = commands.choices.get(words[0]) if words else None
    for parser, add in of_commands:
        if parser is first or (first is None and len(words) > 1):
            add(parser)
    words = arranged(words, commands.choices)
    top.hint = "".join(
        commands.choices[word].hint for word in words[:1] if word in commands.choices
    )
    arguments, unknown = top.parse_known_args(words)
    if unknown:
        commands.choices[words[0]].refuse(unknown)
    return arguments


def _each(
    commands: _Commands,
) -> Iterator[tuple[CommandParser, Callable[[CommandParser], None]]]:
    """A parser for each command, and the function that adds its options."""
    yield (
        _command(commands, "serve", "run a rendezvous server", _SERVE_TEXT, aliases=["s"]),
        _add_serve,
    )
    about = _CLIENT_TEXT + _ENCRYPTED.format("rdv accept")
    text = "connect to a peer that accepts with the same token"
    yield _command(commands, "dial", text, about, module="stream", aliases=["d"]), _add_dial
    text = "wait for a peer that dials with the same token"
    yield _command(commands, "accept", text, about, module="stream", aliases=["a"]), _add_accept
    about = f"Peers can reach TARGET and nothing else. {_ENCRYPTED.format('rdv expose')}"
    text = "let peers with the same token connect to one target"
    yield _command(commands, "expose", text, about, module="forward"), _add_expose
    about = (
        "Each local connection gets its own connection to the peer. "
        f"{_ENCRYPTED.format('rdv expose')}"
    )
    text = "listen here, and forward to a peer that exposes with the same token"
    yield _command(commands, "connect", text, about, module="forward"), _add_connect
    text = "print a new secret, or a signed token"
    yield _command(commands, "token", text, _TOKEN_TEXT), _add_token
    text = "run a server, a dialer and an acceptor in one process, and transfer data"
    yield _command(commands, "demo", text), lambda parser: None
    text = "examine this network, and suggest what to change"
    yield _command(commands, "check", text, _CHECK_TEXT), _add_check


_ENCRYPTED = (
    "The stream is encrypted end to end if TOKEN is a secret. Without TOKEN, {} generates one and "
    "prints the command for the other side. Anyone who knows TOKEN can act as the peer."
)
_CLIENT_TEXT = "Sends stdin to the peer, and writes what the peer sends to stdout. "
_SERVE_TEXT = (
    "Times are in seconds, or as 90s, 5m, 2h, 1d; sizes in bytes, or as 64k, 10M, 1G. Options can "
    "also be set in a file (--config) or in the environment: RDV_SERVE_LOBBY_TIMEOUT=5m."
)
_TOKEN_TEXT = (
    "Prints a new secret, for a stream that is encrypted end to end. With --key, it includes a "
    "signed token, which a server with that --token-key accepts until it expires. Give the same "
    "line to both peers."
)
_CHECK_TEXT = (
    "Acts as both peers against a server, and reports what this shows about the server and the "
    "network in between: NAT, proxy, TLS, times. Without a URL, it starts its own server, which "
    "shows nothing about the network."
)


def _command(
    commands: _Commands,
    name: str,
    text: str,
    description: str | None = None,
    *,
    module: str | None = None,
    aliases: Sequence[str] = (),
) -> CommandParser:
    """
    A parser for a command, whose arguments say by which name and ``module`` to run it.

    :param module: the module of :mod:`rdv.commands`; by default, the one with the same name.
    """
    parser = commands.add_parser(name, aliases=aliases, help=text, description=description)
    parser.set_defaults(command=name, module=module or name, hint="")
    parser.add_argument("-v", dest="verbose", action="store_true", help="log events to stderr")
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    # Imported late: the table takes a third of the time to read the arguments of another command.
    from rdv.settings import FILE, PROCESSES, server_settings

    parser.usage = "rdv serve [OPTIONS]"  # with all options it would have 25 lines
    groups: dict[str, Any] = {}
    for each in server_settings():
        if each.group not in groups:
            groups[each.group] = parser.add_argument_group(each.group)
        names = [each.flag, *each.also]
        flags = [f"-{name}" if len(name) == 1 else f"--{name}" for name in names]
        said: dict[str, Any] = {"dest": each.field, "default": None, "help": each.described}
        if each.parse is None:
            said |= {"action": "store_const", "const": not each.default}
        else:
            said |= {"type": checked(each.parse), "metavar": each.metavar}
            said |= {"action": "append"} if each.repeats else {}
        groups[each.group].add_argument(*flags, **said)
    groups[FILE].add_argument(
        "--check-config",
        action="store_true",
        help="check the settings, print OK or one line per mistake, and exit",
    )
    groups[PROCESSES].add_argument(
        "--replace",
        metavar="PID_FILE",
        help="upgrade the server that wrote this file without downtime: replace it with a new "
        "generation, wait until that is serving, and exit",
    )


def _add_forwarding(parser: argparse.ArgumentParser) -> None:
    add_form(parser)
    add_server(parser)
    parser.set_defaults(local_port=0)
    parser.add_argument(
        "--max",
        dest="most",
        type=checked(forwards),
        default=100,
        metavar="N",
        help="maximum number of forwarded connections; further ones are reset (default 100)",
    )


def _add_expose(parser: argparse.ArgumentParser) -> None:
    _add_forwarding(parser)
    parser.add_argument(
        "target", metavar="TARGET", help="HOST:PORT, a PORT on this host, or unix:PATH"
    )


def _add_connect(parser: argparse.ArgumentParser) -> None:
    _add_forwarding(parser)
    parser.add_argument(
        "-l",
        "--listen",
        dest="listen_at",
        required=True,
        metavar="[HOST:]PORT",
        help="where to listen, or unix:PATH; without a host, on 127.0.0.1; port 0: any free port",
    )
    text = "how long a local connection waits for the peer; 0: no limit"
    add_seconds(parser, "--timeout", 60.0, text)


def _add_dial(parser: argparse.ArgumentParser) -> None:
    _add_client(parser, 60.0)


def _add_accept(parser: argparse.ArgumentParser) -> None:
    _add_client(parser, 0.0)


def _add_client(parser: argparse.ArgumentParser, timeout: float) -> None:
    add_form(parser)
    add_server(parser)
    parser.add_argument(
        "-n",
        dest="reads",
        action="store_false",
        help="do not read stdin, as with </dev/null (for loops that read stdin themselves)",
    )
    text = "give up if there is no connection by then; 0: no limit"
    add_seconds(parser, "--timeout", timeout, text)
    parser.add_argument(
        "--local-port",
        type=checked(port),
        default=0,
        metavar="PORT",
        help="local port to listen on and dial from (default: any)",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print a timeline of the attempt to stderr once it has ended and the stream has "
        "moved or will not",
    )
    parser.add_argument(
        "--explain-to",
        metavar="FILE",
        help="write the timeline to a file: .html, .svg or .ndjson",
    )


def _add_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="FILE", help="sign with the first key in this file")
    parser.add_argument(
        "--user", metavar="NAME", help="who it is for, which the server sees; needed with --key"
    )
    parser.add_argument(
        "--ttl",
        type=checked(seconds),
        metavar="SECONDS",
        help="how long the token is valid, as 90, 5m, 2h or 1d (default 3600)",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--plain",
        action="store_true",
        help="only a signed token, no secret: the stream is not encrypted",
    )
    kind.add_argument(
        "--for",
        dest="signed_for",
        metavar="SERVER-TOKEN",
        help="sign for a secret that stays with the peers, which join the two as SECRET@TOKEN",
    )
    kind.add_argument(
        "--server-token",
        metavar="FILE",
        help="print the server token of the secret in this file, for --for",
    )


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url", metavar="URL", nargs="?", help="the server (default: start one on loopback)"
    )
    add_seconds(
        parser, "--timeout", 15.0, "time limit for all checks; those that do not fit are skipped"
    )
    parser.add_argument(
        "--no-throughput",
        dest="throughput",
        action="store_false",
        help="do not measure throughput, which sends up to 4 MB each way, for at most 1.5 s",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="use the token in the first line of this file, or of stdin for -, if the server "
        "requires a signed one; nobody else may use it meanwhile",
    )
    add_form(
        parser, json="print the result as one JSON object, and progress as JSON lines on stderr"
    )
    add_header(parser)
    add_spaces(parser)
    add_tls(parser)
    add_proxy(parser)


def _version() -> str:
    from rdv import __version__

    return f"rdv {__version__}"
