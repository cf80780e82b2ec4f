"""
Which server, and which token or secret: from the arguments, a file, the environment, or created
here.

Every user of the host can read a secret on a command line, in the list of processes. It can
therefore come from a file instead, or from the environment, which other users cannot read.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from rdv._secure.secret import Secret, read_token
from rdv._stdio.console import Console, Form
from rdv.client.servers.urls import parse_servers, split_servers
from rdv.commands.client import spaces_of
from rdv.commands.running import BadUsage
from rdv.wire import is_secret

__all__ = ["on_the_other_side", "settle", "token_in"]

#: A token of fewer bytes can be found by trying.
_LEAST_UNGUESSABLE = 16
_LEAST_UNPRIVILEGED = 1024
#: A longer line does not contain a token.
_LONGEST_LINE = 1 << 14


def settle(
    arguments: argparse.Namespace, console: Console, environment: Mapping[str, str] = os.environ
) -> None:
    """
    Give the arguments a ``url`` and a ``token``. If a command that waits for a peer has no token,
    generate a secret, and print what to run on the other side.

    :raises BadUsage: when one is missing, or there is more than one; or when an argument that the
        other side needs is invalid.
    :raises BadURL: when the URL is invalid.
    :raises BadToken: when the token is invalid, or must be a secret and is not.
    """
    _settle_url(arguments, environment)
    token = _given(arguments, environment)
    if token is None:
        token = _make(arguments, console)
    arguments.token = token
    shared = Secret.parse(token) if arguments.secure else read_token(token)
    if not isinstance(shared, Secret):
        _warn(token, console)


def _settle_url(arguments: argparse.Namespace, environment: Mapping[str, str]) -> None:
    default = environment.get("RDV_SERVER")
    url = arguments.url
    if url is None or (default and arguments.token is None and "://" not in url):
        if not default:
            raise BadUsage("no server: give its URL, or set RDV_SERVER")
        arguments.url, arguments.token = default, url
    elif is_secret(url):  # an error about URLs would show it
        raise BadUsage("a secret instead of the server's URL: the URL comes first")
    parse_servers(split_servers(arguments.url))


def _given(arguments: argparse.Namespace, environment: Mapping[str, str]) -> str | None:
    given: str | None = arguments.token
    path = arguments.token_file
    if path is not None:
        if given is not None:
            raise BadUsage("both a token and --token-file: give only one of them")
        return token_in(path)
    return environment.get("RDV_TOKEN") if given is None else given


def token_in(path: str) -> str:
    """
    The first line of a file, or of stdin for ``-``.

    :raises BadUsage: when it cannot be read.
    """
    try:
        if path == "-":
            line = _line_of_stdin()
        else:
            with open(path, "rb") as file:
                line = file.readline(_LONGEST_LINE)
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except OSError as error:
        if is_secret(path):
            raise BadUsage(
                "--token-file needs a file that contains the secret, not the secret itself"
            ) from None
        raise BadUsage(f"cannot read {path}: {error.strerror}") from error
    except UnicodeError:
        raise BadUsage(f"cannot read {path}: not UTF-8") from None


def _line_of_stdin() -> bytes:
    # Byte by byte: the data after it goes to the peer.
    line = bytearray()
    while not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return bytes(line)


def _make(arguments: argparse.Namespace, console: Console) -> str:
    if arguments.command not in ("accept", "expose"):
        hint = f" ({arguments.hint})" if arguments.hint else ""
        raise BadUsage(f"no token: give TOKEN or --token-file FILE, or set RDV_TOKEN{hint}")
    if console.form is not Form.TEXT:
        raise BadUsage("no token, and no terminal to show a new one: run rdv token to generate one")
    spaces_of(arguments)
    secret = Secret.generate().reveal()
    console.tell("secret", on_the_other_side(arguments, secret))
    return secret


def _warn(token: str, console: Console) -> None:
    problem = "this stream is not encrypted"
    if len(token.encode()) < _LEAST_UNGUESSABLE:
        problem += ", and its token can be guessed"
    text = f"{problem}: use a secret from rdv token"
    console.tell("notice", f"NOTICE: {text}", message=text)


def on_the_other_side(arguments: argparse.Namespace, secret: str) -> str:
    """
    What to run on the other side, and what it needs, in one line.

    The options for reaching the server, and for the addresses that are used, are the same on both
    sides. A file does not exist there yet. Headers and certificates identify a user, so each side
    has its own, and they may be secret. A proxy belongs to a network.
    """
    import shlex  # imported late, because few commands print this

    options = []
    lacking = []
    if arguments.relay:
        options.append("-r")
    elif arguments.spaces != "default":
        options += ["--spaces", arguments.spaces]
    if arguments.ca is not None:
        options += ["--ca", os.path.basename(arguments.ca)]
        lacking.append(f"a copy of {arguments.ca}")
    given = {"--cert": arguments.cert, "--header": arguments.header or arguments.header_file}
    if own := [flag for flag, value in given.items() if value]:
        lacking.append(f"its own {' and '.join(own)}")
    meeting = [*options, arguments.url, secret]
    if arguments.command == "accept":
        words = ["rdv", "dial", *meeting]
    else:
        words = ["rdv", "connect", *meeting, "--listen", _port(arguments.target)]
    needed = f", with {' and '.join(lacking)}" if lacking else ""
    return f"On the other side{needed}: {shlex.join(words)}"


def _port(target: str) -> str:
    """The port to listen on: the same one, if every user may listen on it."""
    port = target.rpartition(":")[2]
    return port if port.isdigit() and int(port) >= _LEAST_UNPRIVILEGED else "0"
