"""
Network namespaces: made, entered, and removed with everything that runs in them.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import IO, Any, Protocol

from tests.nursery import Child

__all__ = ["LabError", "Namespace", "Running", "end", "remove_stale", "run"]

#: How a host in the lab differs from the system's defaults. Addresses can be used at once, nothing
#: is filtered by accident, every refusal is answered, and TCP is the one of most Linux hosts.
_SYSCTLS = {
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/icmp_ratelimit": "0",
    "net/ipv4/icmp_msgs_per_sec": "100000",
    "net/ipv4/icmp_msgs_burst": "100000",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/icmp/ratelimit": "0",
    "net/bridge/bridge-nf-call-iptables": "0",
    "net/bridge/bridge-nf-call-ip6tables": "0",
}

#: Prefixes of the names of devices that must have a carrier when they are up.
_DEVICES = ("lan", "site", "wan", "plug")
#: Seconds for a link to come up. It takes milliseconds, on an idle machine.
_CARRIER = 10.0
_CLONE_NEWNET = 0x40000000
_PREFIX = "natlab"
_ROOT = Path(__file__).resolve().parents[2]
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


class LabError(Exception):
    """The laboratory itself does not work as it should."""


def run(argv: Sequence[str], text: str = "") -> str:
    """
    Run a program to its end, in the namespace that the calling thread is in.

    :param text: its stdin.
    :return: its stdout.
    :raises LabError: with what it said, when it fails.
    """
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout)[-2000:]
        raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {said}\n{text[:2000]}")
    return done.stdout


class Running(Protocol):
    """A program that was started, as :class:`subprocess.Popen` has it."""

    @property
    def stdin(self) -> IO[bytes] | None: ...

    @property
    def stdout(self) -> IO[bytes] | None: ...

    @property
    def stderr(self) -> IO[bytes] | None: ...

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL."""


def end(process: Running) -> None:
    """Kill a process if it still runs, and close what we have of it."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # data that was not read
                stream.close()


def _set(sysctl: str, value: str) -> None:
    (Path("/proc/sys") / sysctl).write_text(value)


def _enter(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


class Namespace:
    """
    A network namespace of our own: a host or a router.

    Commands for it are collected in :attr:`addresses` and :attr:`rules`, and executed by
    :meth:`configure`: a call of ``ip`` for each would take most of a lab's time.

    :param label: what it is, for messages.
    :param router: whether it forwards packets.
    :param v6: whether there is IPv6 at all.
    :ivar name: as ``ip netns`` knows it; unique.
    :ivar addresses: lines for ``ip -batch``: addresses, states, routes.
    :ivar rules: text for ``nft -f``.
    """

    def __init__(self, label: str, *, router: bool = False, v6: bool = False) -> None:
        self.label = label
        self.name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
        self._sysctls = dict(_SYSCTLS)
        if router:
            self._sysctls["net/ipv4/ip_forward"] = "1"
            self._sysctls["net/ipv6/conf/all/forwarding"] = "1"
        if not v6:
            self._sysctls["net/ipv6/conf/all/disable_ipv6"] = "1"
            self._sysctls["net/ipv6/conf/default/disable_ipv6"] = "1"
        self.addresses: list[str] = ["link set lo up"]
        self.rules: list[str] = []
        self._processes: list[Running] = []

    def __repr__(self) -> str:
        return f"<{self.label}: {self.name}>"

    @property
    def path(self) -> Path:
        """The file that stands for it."""
        return Path("/run/netns") / self.name

    @property
    def etc(self) -> Path:
        """Files that programs started with ``ip netns exec`` see in ``/etc``."""
        return Path("/etc/netns") / self.name

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """
        The calling thread, and what it starts, is in this namespace meanwhile.

        Other threads stay where they are.
        """
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _enter(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _enter(home)
        finally:
            os.close(home)

    def prepare(self) -> None:
        """Set the sysctls. To be done before it has any interface, as they are defaults for it."""
        with self.entered():
            for name, value in self._sysctls.items():
                with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6 or bridges
                    _set(name, value)
            for control in ("cubic", "reno"):  # whichever this system allows in a namespace
                with contextlib.suppress(OSError):
                    _set("net/ipv4/tcp_congestion_control", control)
                    break

    def configure(self) -> None:
        """
        Carry out what was collected, and forget it.

        :raises LabError: when something of it is refused.
        """
        commands, self.addresses = self.addresses, []
        rules, self.rules = self.rules, []
        with self.entered():
            if commands:
                run(["ip", "-batch", "-"], "\n".join(commands) + "\n")
            if rules:
                run(["nft", "-f", "-"], "\n".join(rules) + "\n")

    def await_carriers(self) -> None:
        """
        Wait until every device that is up can carry packets.

        :raises LabError: when one cannot.
        """
        deadline = time.monotonic() + _CARRIER
        while True:
            links = json.loads(self.run("ip", "-json", "link", "show", "up"))
            ours = [link for link in links if link.get("ifname", "").startswith(_DEVICES)]
            ours = [link for link in ours if link["link_type"] == "ether"]  # no TUN
            if all(link["operstate"] == "UP" for link in ours):
                return
            if time.monotonic() > deadline:
                raise LabError(f"no carrier in {self}: {ours}")
            time.sleep(0.001)

    def run(self, *argv: str, text: str = "") -> str:
        """Run a program here to its end; see :func:`run`."""
        with self.entered():
            return run(argv, text)

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """
        Start a program here, with the ``/etc`` of this host. It is killed when the namespace goes.

        :param options: of :class:`subprocess.Popen`.
        """
        # ``ip`` becomes the program: the process is the same.
        command = ["ip", "netns", "exec", self.name, *argv]
        process: subprocess.Popen[bytes] = subprocess.Popen(command, **options)
        self._processes.append(process)
        return process

    def fork(
        self, *argv: str, stdin: int = PIPE, stdout: int = PIPE, stderr: int = STDOUT
    ) -> Running:
        """
        The same for a module of Python and its arguments, much faster: see
        :mod:`tests.nursery`. Where names of hosts matter, it is no faster.

        :param stdin: a descriptor, or a pipe; as the others.
        """
        process: Running
        if self.etc.exists():
            streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
            process = self.popen([sys.executable, "-u", "-m", *argv], cwd=_ROOT, **streams)
        else:
            process = Child(argv, stdin, stdout, stderr, namespace=self.path)
            self._processes.append(process)
        return process

    def hosts(self, names: Mapping[str, Sequence[str]]) -> None:
        """Give addresses to names, for what :meth:`popen` starts. No other name can be resolved."""
        self.etc.mkdir(parents=True)
        lines = ["127.0.0.1 localhost"]
        lines += [f"{ip} {name}" for name, ips in names.items() for ip in ips]
        (self.etc / "hosts").write_text("\n".join(lines) + "\n")
        (self.etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")

    def forget(self, process: Running) -> None:
        """A process started here has ended."""
        if process in self._processes:
            self._processes.remove(process)

    def remove(self) -> None:
        """
        Kill what was started here, and delete the namespace. Nothing happens when it is gone.
        """
        for process in self._processes:
            end(process)
        self._processes.clear()
        if self.path.exists():
            run(["ip", "netns", "delete", self.name])
        _remove_etc(self.etc)


def remove_stale() -> None:
    """
    Delete the namespaces of laboratories that were killed before they could do so, and kill what
    these had started there.
    """
    for path in _ownerless("/run/netns"):
        with contextlib.suppress(LabError):  # another process does the same
            for pid in run(["ip", "netns", "pids", path.name]).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            run(["ip", "netns", "delete", path.name])
    for path in _ownerless("/etc/netns"):
        _remove_etc(path)


def _ownerless(folder: str) -> list[Path]:
    """What belongs to a laboratory whose process is no more."""
    owners = {
        path: path.name.removeprefix(_PREFIX).partition("-")[0]
        for path in Path(folder).glob(f"{_PREFIX}*-*")
    }
    return [path for path, pid in owners.items() if not Path("/proc", pid).exists()]


def _remove_etc(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
