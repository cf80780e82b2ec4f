"""
The programs that run in a lab: servers, and peers of two kinds. All calls block.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.natlab.lab import PORT, Host, Lab
from tests.natlab.messages import Exchange
from tests.natlab.model import Proxy
from tests.natlab.namespaces import LabError, end
from tests.natlab.report import Report

__all__ = ["AgentPeer", "Lines", "Peer", "PlainPeer", "Server", "start_peer"]

_ROOT = Path(__file__).resolve().parents[2]
#: Seconds for a program to start, on a busy machine.
_START = 20.0
_BACKEND = 8081
_NOBODYS_HEADER = "X-Nobody-Sends-This"


def _start(host: Host, *argv: str, **options: Any) -> subprocess.Popen[bytes]:
    return host.namespace.popen(
        [sys.executable, *argv], env={**os.environ, "PYTHONUNBUFFERED": "1"}, cwd=_ROOT, **options
    )


class Lines:
    """What a program writes to a pipe, collected by a thread so that it never blocks."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed under our hands, at the end
            for line in self._file:
                with self._changed:
                    self._lines.append(line.decode(errors="replace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def mark(self) -> int:
        """A place from which to look for a line."""
        with self._changed:
            return len(self._lines)

    def find(self, pattern: str, seconds: float, start: int = 0) -> re.Match[str] | None:
        """The first match in a line from ``start`` on; none when it did not come in time."""
        found: re.Match[str] | None = None

        def look() -> bool:
            nonlocal found, start
            while start < len(self._lines) and not found:
                found = re.search(pattern, self._lines[start])
                start += 1
            return found is not None or self._ended

        with self._changed:
            self._changed.wait_for(look, seconds)
        return found

    def text(self) -> str:
        """All of it, for a message."""
        with self._changed:
            return "\n".join(self._lines[-40:])

    def all(self) -> list[str]:
        """The lines, when the program has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended)
            return self._lines


class Server:
    """
    A rendezvous server in the lab, with the proxy that the topology wants.

    :param kind: ``rdv`` or ``plain``.
    :param options: for its command line.
    :raises LabError: when it does not start.
    """

    def __init__(self, lab: Lab, kind: str = "rdv", options: Sequence[str] = ()) -> None:
        proxy = lab.topology.server.proxy
        port = _BACKEND if proxy else PORT
        if kind == "rdv":
            hide = ("--observed-header", _NOBODYS_HEADER) if proxy is Proxy.UNKNOWN else ()
            shown = ("--log-addresses", "full")
            argv = ["rdv", "serve", "-v", "-l", str(port), *shown, *hide, *options]
            listening, self._waiting = r"^LISTENING: ", r"waiting: acceptor"
        elif any(":" in ip for ip in lab.server.addresses) or proxy is Proxy.UNKNOWN:
            raise LabError("the plain server has IPv4 only, and always reports an address")
        else:
            argv = ["tests.plain_server", "--host", "0.0.0.0", "--port", str(port), *options]
            listening, self._waiting = r"^listening ", r"joined: ACCEPT"
        process = lab.server.namespace.fork(*argv)
        self.log = Lines(process.stdout)
        if self.log.find(listening, _START) is None:
            raise LabError(f"the server did not start: {self.log.text()}")
        if proxy:
            self._start_proxy(lab, proxy)

    def _start_proxy(self, lab: Lab, proxy: Proxy) -> None:
        source = lab.server.addresses[0] if proxy is Proxy.PUBLIC else "127.0.0.1"
        argv = ["-m", "tests.natlab.tcp_proxy", str(PORT), source, str(_BACKEND)]
        process = _start(lab.server, *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if Lines(process.stdout).find("listening", _START) is None:
            raise LabError("the proxy did not start")

    def await_acceptor(self, start: int, seconds: float = 5.0) -> bool:
        """Wait until an acceptor is in the lobby, according to the log from ``start`` on."""
        return self.log.find(self._waiting, seconds, start) is not None


class Peer(Protocol):
    """One of the two programs that meet."""

    def meet(
        self, role: str, url: str, token: str, timeout: float, patience: float, settle: float = 0.0
    ) -> Report:
        """
        Connect, converse, and close. Blocks until that is over.

        :param role: ``dial`` or ``accept``.
        :param timeout: seconds until connected.
        :param patience: seconds without a byte, after that.
        :param settle: seconds for a stream to move, before it is closed.
        """


class AgentPeer:
    """
    A :mod:`tests.natlab.agent`, which lives for any number of meetings.

    :param options: keywords for its :class:`rdv.client.Client`, as far as JSON can say them.
    """

    def __init__(self, host: Host, options: dict[str, Any] | None = None) -> None:
        self._options = options or {}
        self._process = host.namespace.fork("tests.natlab.agent", stderr=2)
        self._lines = Lines(self._process.stdout)
        if self._lines.find("ready", _START) is None:
            raise LabError("the agent did not start")

    def meet(
        self, role: str, url: str, token: str, timeout: float, patience: float, settle: float = 0.0
    ) -> Report:
        command = {
            "role": role,
            "url": url,
            "token": token,
            "timeout": timeout,
            "patience": patience,
            "settle": settle,
            "options": self._options,
        }
        start = self._lines.mark()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        most = timeout + 4 * patience + settle + _START
        answer = self._lines.find(r"^\{.*\}$", most, start)
        if answer is None:
            raise LabError(f"no word from the {role}ing agent")
        return Report(**json.loads(answer[0]))


class PlainPeer:
    """
    A :mod:`tests.plain_peer`, one process for each meeting: the times include its start.

    :param options: for its command line.
    """

    def __init__(self, host: Host, options: Sequence[str] = ()) -> None:
        self._host = host
        self._options = [*options]
        for ip in host.addresses:
            self._options += ["--self-addr", f"[{ip}]:0" if ":" in ip else f"{ip}:0"]

    def meet(
        self, role: str, url: str, token: str, timeout: float, patience: float, settle: float = 0.0
    ) -> Report:
        report = Report(called=time.monotonic())
        process = _start(
            self._host,
            "-m",
            "tests.plain_peer",
            role,
            *self._options,
            "--timeout",
            str(timeout),
            url,
            token,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            self._connect(process, report, timeout + _START)
            if report.connected is not None:
                self._converse(process, report, patience)
        finally:
            end(process)
            self._host.namespace.forget(process)
        return report

    def _connect(self, process: subprocess.Popen[bytes], report: Report, seconds: float) -> None:
        lines = Lines(process.stderr)
        found = lines.find(r"^CONNECTED: (p2p|relay) (\S+)|^(ERR: .*)|Error", seconds)
        if found is None or not found[1]:
            report.error = (found and found[3]) or f"not connected: {lines.text()}"
        else:
            report.connected = time.monotonic()
            report.is_relay = found[1] == "relay"
            report.peer = found[2]

    def _converse(self, process: subprocess.Popen[bytes], report: Report, patience: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        exchange = Exchange()
        writer, reader = process.stdin.fileno(), process.stdout.fileno()
        try:
            os.write(writer, exchange.begin())
            while select.select([reader], [], [], patience)[0]:
                data = os.read(reader, 4096)
                if not data:
                    break
                report.first_byte = report.first_byte or time.monotonic()
                if answer := exchange.take(data):
                    os.write(writer, answer)
                if exchange.complete:
                    process.stdin.close()
                    process.wait(patience)
                    break
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            report.error = str(error)
        report.complete = exchange.complete and not report.error
        if not report.complete and not report.error:
            report.error = f"the stream broke, or nothing more came for {patience:g} s"


def start_peer(kind: str, host: Host, options: dict[str, Any] | None = None) -> Peer:
    """
    :param kind: ``rdv`` for an agent or ``plain``.
    :param options: for an agent; a plain peer has none.
    """
    return AgentPeer(host, options) if kind == "rdv" else PlainPeer(host)
