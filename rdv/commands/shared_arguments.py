"""
Arguments that several subcommands of ``rdv`` share.
"""

from __future__ import annotations

import argparse

from rdv._stdio.console import Form
from rdv.commands.command_line import checked
from rdv.options import seconds

__all__ = [
    "add_form",
    "add_header",
    "add_proxy",
    "add_seconds",
    "add_server",
    "add_spaces",
    "add_tls",
]


def add_seconds(parser: argparse.ArgumentParser, flag: str, default: float, text: str) -> None:
    parser.add_argument(
        flag,
        type=checked(seconds),
        default=default,
        metavar="SECONDS",
        help=f"{text} (default {default:g})",
    )


def add_form(
    parser: argparse.ArgumentParser,
    json: str = "report everything on stderr as JSON, one object per line",
) -> None:
    """The form of the messages: ``form``."""
    group = parser.add_mutually_exclusive_group()
    for flags, form, text in (
        (("-q", "--quiet"), Form.QUIET, "print errors only"),
        (("--json",), Form.JSON, json),
    ):
        group.add_argument(
            *flags, dest="form", action="store_const", const=form, default=Form.TEXT, help=text
        )


def add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        help="the server: http://HOST[:PORT][/PATH] or https://; or several for failover, "
        "separated by commas, the same for both peers (default: $RDV_SERVER)",
    )
    parser.add_argument(
        "token",
        metavar="TOKEN",
        nargs="?",
        help="a secret from rdv token, or any text for a stream that is not encrypted "
        "(default: $RDV_TOKEN)",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="read the token from the first line of a file, or of stdin for -",
    )
    parser.add_argument(
        "--secure", action="store_true", help="reject any token that is not a secret"
    )
    add_header(parser)
    add_spaces(parser)
    penalty = "maximum time that a ready relay waits for a direct path, unless the stream can move"
    add_seconds(parser, "--penalty", 2.0, penalty)
    parser.add_argument(
        "--no-move",
        dest="move",
        action="store_false",
        help="keep a secured stream on the path it starts on: a ready relay then first waits for a "
        "direct path, for --penalty",
    )
    add_tls(parser)
    add_proxy(parser)


def add_header(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="add a header to the request to the server; repeatable",
    )
    parser.add_argument(
        "--header-file",
        action="append",
        default=[],
        metavar="FILE",
        help="add the headers in this file, one per line, which keeps them out of the process list",
    )


def add_spaces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-r", dest="relay", action="store_true", help="only use the relay")
    parser.add_argument(
        "--spaces",
        default="default",
        metavar="LIST",
        help="addresses to use, comma separated: default, all, none, public4, public6, private4, "
        "private6, link4, link6, loopback",
    )


def add_tls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ca", metavar="FILE", help="PEM file of certificates to trust for https")
    parser.add_argument(
        "--cert",
        metavar="FILE",
        help="PEM file of a certificate and its key, for an https server that requires one",
    )


def add_proxy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--proxy",
        metavar="URL",
        help="reach the server through an HTTP proxy, http://[USER:PASSWORD@]HOST:PORT (default: "
        "$HTTPS_PROXY, or for http:// $HTTP_PROXY, unless $NO_PROXY names the server; '' for none)",
    )
