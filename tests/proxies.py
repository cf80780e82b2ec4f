"""
HAProxy, nginx and Envoy in front of a server, and tinyproxy in front of clients, on ports of this
host that no other program can get.

HAProxy inherits a listening socket: a client that comes before it is ready waits in the queue. The
others listen themselves, on a port that is reserved for them.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from tests.documents import replaced
from tests.processes import PYTHON, Program

NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {content}
}}
"""


TINYPROXY = """
Listen {address}
Port {port}
Timeout 600
LogLevel Info
{more}
"""


def installed(program: str) -> str:
    """
    Where a program is.

    :raises SkipTest: when it is not installed.
    """
    beside = Path(PYTHON).parent  # what PyPI has
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin:{beside}")
    if path is None:
        raise SkipTest(f"{program} is not installed")
    return path


async def start_nginx(test: TestCase, content: str) -> int:
    """
    Start nginx and wait until it listens.

    :param content: of its ``http`` block, with ``LISTEN`` as the address to listen on.
    :return: its port.
    """
    nginx = installed("nginx")
    port = _reserved(test, socket.SO_REUSEPORT)
    folder = Path(test.mktemp()).absolute()
    folder.mkdir()
    config = folder / "nginx.conf"
    content = replaced(content, ("LISTEN", f"127.0.0.1:{port} reuseport"))
    config.write_text(NGINX.format(content=content))
    program = Program(test, nginx, "-e", "stderr", "-p", str(folder), "-c", str(config))
    await program.line('using the "epoll" event method')  # it listens by then
    return port


async def start_envoy(test: TestCase, config: str) -> int:
    """
    Start Envoy and wait until it listens.

    :param config: with ``LISTEN`` as the port to listen on.
    :return: its port.
    """
    envoy = installed("envoy")
    port = _reserved(test, socket.SO_REUSEPORT)
    path = Path(test.mktemp()).absolute().with_suffix(".yaml")
    path.write_text(replaced(config, ("LISTEN", str(port))))
    options = ("--concurrency", "1", "--use-dynamic-base-id", "-l", "error")
    tells = ("--component-log-level", "main:debug")
    program = Program(test, envoy, "-c", str(path), *options, *tells)
    await program.line("worker entering dispatch loop")  # it listens by then
    return port


def _reserved(test: TestCase, option: int) -> int:
    """
    The number of a port that is bound, not listening, until the test is over.

    :param option: with which another socket can be bound to it that has it too.
    """
    reserved = socket.socket()
    test.addCleanup(reserved.close)
    reserved.setsockopt(socket.SOL_SOCKET, option, 1)
    reserved.bind(("127.0.0.1", 0))
    port: int = reserved.getsockname()[1]
    return port


async def start_tinyproxy(test: TestCase, *lines: str) -> int:
    """
    Start tinyproxy and wait until it listens.

    :param lines: more of its configuration.
    :return: its port.
    """
    tinyproxy = installed("tinyproxy")
    port = _reserved(test, socket.SO_REUSEADDR)
    config = Path(test.mktemp()).absolute()
    config.write_text(TINYPROXY.format(address="127.0.0.1", port=port, more="\n".join(lines)))
    program = Program(test, tinyproxy, "-d", "-c", str(config))
    await program.line("Accepting connections")
    return port


def start_haproxy(test: TestCase, config: str) -> int:
    """
    Start HAProxy, which gets a port that listens already as its stdin.

    :param config: with ``fd@0`` as the address to listen on.
    :return: its port.
    """
    return run_haproxy(test, config)[1]


def run_haproxy(test: TestCase, config: str) -> tuple[Program, int]:
    """The same, for who listens to what it says."""
    haproxy = installed("haproxy")
    path = Path(test.mktemp()).absolute()
    path.write_text(config + "\n")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        program = Program(test, haproxy, "-db", "-f", str(path), stdin=listening.fileno())
    return program, port
