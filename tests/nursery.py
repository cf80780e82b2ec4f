"""
Python programs without their slowest part, the imports.

A process imports them once. For each request it forks, and the child becomes the requested program.
A :class:`Child` makes a request, and is much like :class:`subprocess.Popen`. No reactor is shared:
each child installs its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

__all__ = ["Child"]

_ROOT = Path(__file__).resolve().parent.parent
_MODULES = (
    "rdv.commands.check",
    "rdv.commands.cli",
    "rdv.commands.client",
    "rdv.commands.forward",
    "rdv.commands.serve",
    "rdv.commands.stream",
    "tests.natlab.agent",
    "tests.plain_server",
    "twisted.internet.epollreactor",
)
_CLONE_NEWNET = 0x40000000
_STREAMS = ("stdin", "stdout", "stderr")
_asking = threading.Lock()


@functools.cache
def _nursery() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The one of this process, which ends with it."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main({its.fileno()})"],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=_ROOT,
        )
    return ours, process


class Child:
    """
    A running program.

    :param argv: a module and its arguments.
    :param streams: its stdin, stdout and stderr: descriptors, ``subprocess.PIPE`` or ``STDOUT``.
    :param namespace: the file of the network namespace in which it runs, if it is another one.
    :param env: added to the environment.
    :ivar stdin: our end of a pipe.
    :ivar status: can be read when it has ended.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *streams: int,
        namespace: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path = _ROOT,
    ) -> None:
        self.returncode: int | None = None
        ours: dict[str, IO[bytes] | None] = dict.fromkeys(_STREAMS)
        with contextlib.ExitStack() as stack:
            fds: list[int] = []
            for name, stream in zip(_STREAMS, streams, strict=True):
                fds.append(fds[1] if stream == subprocess.STDOUT else stream)
                if stream == subprocess.PIPE:
                    reader, writer = os.pipe()
                    if name == "stdin":
                        fds[-1], ours[name] = reader, os.fdopen(writer, "wb", 0)
                    else:
                        fds[-1], ours[name] = writer, os.fdopen(reader, "rb")
                    stack.callback(os.close, fds[-1])
            self.status, told = socket.socketpair()
            stack.enter_context(told)
            fds.append(told.fileno())
            if namespace:
                fds.append(os.open(namespace, os.O_RDONLY | os.O_CLOEXEC))
                stack.callback(os.close, fds[-1])
            request = json.dumps([argv, {**os.environ, **(env or {})}, str(cwd)])
            with _asking:
                control, _ = _nursery()
                socket.send_fds(control, [request.encode()], fds)
                pid, got, _, _ = socket.recv_fds(control, 20, 1, socket.MSG_CMSG_CLOEXEC)
            self.pid, (self._pidfd,) = int(pid), got
        self.stdin, self.stdout, self.stderr = ours.values()

    def wait(self, timeout: float | None = None) -> int:
        """
        Its exit status, as :attr:`subprocess.Popen.returncode`.

        :raises subprocess.TimeoutExpired: when it still runs after so many seconds.
        """
        if self.returncode is None:
            self.status.settimeout(timeout)
            try:
                self.returncode = int(self.status.recv(20) or b"-9")
            except TimeoutError:
                raise subprocess.TimeoutExpired("a child", timeout or 0.0) from None
            self.status.close()
            os.close(self._pidfd)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


# The other side.


def _become(argv: Sequence[str], env: Mapping[str, str], cwd: str, fds: Sequence[int]) -> NoReturn:
    status = 1
    try:
        for namespace in fds[4:]:
            if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        for number, fd in enumerate(fds[:3]):
            os.dup2(fd, number)
        for fd in set(fds):
            os.close(fd)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = [*argv]
        if argv[0] in _MODULES:  # it runs again from the start
            del sys.modules[argv[0]]
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
        finally:
            os._exit(status)


def _serve(control: socket.socket) -> None:
    """Until the other side is gone."""
    children: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd != control.fileno():
                pid, told = children.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with contextlib.suppress(OSError):  # nothing waits for it any more
                    os.write(told, str(code).encode())
                os.close(told)
                continue
            data, fds, _, _ = socket.recv_fds(control, 1 << 16, 5, socket.MSG_CMSG_CLOEXEC)
            if not data:
                return
            pid = os.fork()
            if not pid:
                for each, (_, other) in children.items():
                    os.close(each)
                    os.close(other)
                control.close()
                argv, env, cwd = json.loads(data)
                _become(argv, env, cwd, fds)
            pidfd = os.pidfd_open(pid)
            socket.send_fds(control, [str(pid).encode()], [pidfd])
            children[pidfd] = pid, fds[3]
            poll.register(pidfd, select.POLLIN)
            for each in (*fds[:3], *fds[4:]):
                os.close(each)


def main(fd: int) -> None:
    """The process from which the others come."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the process that makes the requests
    for name in _MODULES:
        importlib.import_module(name)
    assert "twisted.internet.reactor" not in sys.modules
    gc.freeze()  # memory that is not touched is not copied
    _serve(socket.socket(fileno=fd))
