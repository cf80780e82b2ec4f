"""
``python -m tests.natlab --list``; ``python -m tests.natlab NAME... [options]``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from typing import Any

from tests.natlab.meeting import Meetings
from tests.natlab.model import Conditions
from tests.natlab.namespaces import LabError
from tests.natlab.report import summary
from tests.natlab.topologies import TOPOLOGIES


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="natlab", description="Peers meet in network namespaces.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="topologies, or 'all'")
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument(
        "--delay", default="0", help="ms one way between the peers, or unequal, far"
    )
    parser.add_argument("--jitter", type=float, default=0.0, metavar="MS")
    parser.add_argument("--loss", type=float, default=0.0, metavar="PERCENT")
    parser.add_argument("--seed", type=int, help="of jitter and loss")
    parser.add_argument("--runs", type=int, default=1)
    kinds = ("rdv", "plain")
    parser.add_argument("--dialer", choices=kinds, default="rdv")
    parser.add_argument("--acceptor", choices=kinds, default="rdv")
    parser.add_argument("--server", choices=kinds, default="rdv")
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds until connected")
    parser.add_argument("--json", action="store_true", help="one object a run, and nothing else")
    parser.add_argument(
        "--peer-options",
        type=json.loads,
        default={},
        metavar="JSON",
        help='keywords of rdv.client.Client: {"penalty": 1.0}',
    )
    parser.add_argument("--server-options", type=shlex.split, default=[], metavar="'--x ...'")
    arguments = parser.parse_args()
    if arguments.names == ["all"]:
        arguments.names = list(TOPOLOGIES)
    if unknown := [name for name in arguments.names if name not in TOPOLOGIES]:
        parser.error(f"no such topology: {', '.join(unknown)}; see --list")
    if not arguments.list and not arguments.names:
        parser.error("which topology? see --list")
    return arguments


def meet(name: str, arguments: argparse.Namespace) -> None:
    """All runs in one topology."""
    conditions = Conditions.named(
        arguments.delay, jitter=arguments.jitter, loss=arguments.loss, seed=arguments.seed
    )
    results = []
    with Meetings(
        TOPOLOGIES[name],
        conditions,
        dialer=arguments.dialer,
        acceptor=arguments.acceptor,
        server=arguments.server,
        dialer_options=arguments.peer_options,
        acceptor_options=arguments.peer_options,
        server_options=arguments.server_options,
    ) as meetings:
        for _ in range(arguments.runs):
            result = meetings.meet(timeout=arguments.timeout)
            results.append(result)
            if arguments.json:
                say(json.dumps({"topology": name, "delay": arguments.delay, **result.as_dict()}))
            else:
                say(f"{name}: {result.line()}")
    if not arguments.json:
        say(f"{name}: {summary(results)} (expected: {TOPOLOGIES[name].expected.value})")


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def stop(*_: Any) -> None:
    """SIGTERM ends the program in good order."""
    sys.exit(143)


def main() -> int:
    """The program; returns the exit code."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, stop)
    if arguments.list:
        for name, topology in TOPOLOGIES.items():
            say(f"{name:24} {topology.text} ({topology.expected.value})")
        return 0
    status = 0
    for name in arguments.names:
        try:
            meet(name, arguments)
        except LabError as error:
            say(f"{name}: {error}")
            status = 1
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
