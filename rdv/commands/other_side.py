"""
The command that meets ``rdv accept`` or ``rdv expose`` on another host.
"""

from __future__ import annotations

import argparse
import os
import shlex

__all__ = ["on_the_other_side"]

_LEAST_UNPRIVILEGED = 1024


def on_the_other_side(arguments: argparse.Namespace, secret: str) -> str:
    """
    What to run there, and what it takes, in one line.

    What is needed to reach the server, and which addresses are used, is the same on both sides. A
    file is not there yet. Headers and certificates say who one is, so each side has its own, and
    they may be secret. A proxy belongs to a network.
    """
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
    """To listen on: the same, if anyone may."""
    port = target.rpartition(":")[2]
    return port if port.isdigit() and int(port) >= _LEAST_UNPRIVILEGED else "0"
