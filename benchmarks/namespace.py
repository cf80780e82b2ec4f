"""
A separate network namespace for a benchmark.

In it, loopback may use another congestion control than the system's. BBR, which is the default of
some systems, paces: over loopback, the result then depends on its timers instead of the programs.
The rest of the host sees none of the traffic.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["run_inside"]

_MARK = "RDV_BENCHMARK_NAMESPACE"


def run_inside(module: str, arguments: Sequence[str], congestion: str) -> int | None:
    """
    Run this benchmark again, in a namespace whose loopback uses that congestion control.

    :return: its exit status; None in the namespace itself, and where none can be created, without
        root or ``ip``; this is reported on stderr.
    """
    if _MARK in os.environ:
        return None
    ip = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if ip is None or os.geteuid() != 0:
        sys.stderr.write("no namespace of its own: that needs root, and ip of iproute2\n")
        return None
    name = f"rdv-benchmark-{os.getpid()}"
    subprocess.run([ip, "netns", "add", name], check=True)
    try:
        subprocess.run([ip, "-n", name, "link", "set", "lo", "up"], check=True)
        # There is a route for the network, and one for the address.
        for destination in ("127.0.0.0/8", "127.0.0.1"):
            route = ["local", destination, "dev", "lo", "proto", "kernel", "scope", "host"]
            how = ["src", "127.0.0.1", "table", "local", "congctl", congestion]
            subprocess.run([ip, "-n", name, "route", "replace", *route, *how], check=True)
        return subprocess.call(
            [ip, "netns", "exec", name, sys.executable, "-m", module, *arguments],
            env={**os.environ, _MARK: congestion},
        )
    finally:
        subprocess.run([ip, "netns", "delete", name], check=True)
