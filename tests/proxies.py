"""
HAProxy and nginx before a server, on ports of this host that nobody else can get.

HAProxy inherits a listening socket: a client that comes before it is ready waits in the queue.
nginx listens itself, on a port that is kept for it.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from tests.documents import replaced
from tests.processes import Program

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


def installed(program: str) -> str:
    """
    Where a program is.

    :raises SkipTest: when it is not installed.
    """
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
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
    # Bound, not listening: it keeps the number for nginx, which sets SO_REUSEPORT as well.
    reserved = socket.socket()
    test.addCleanup(reserved.close)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    port: int = reserved.getsockname()[1]
    folder = Path(test.mktemp()).absolute()
    folder.mkdir()
    config = folder / "nginx.conf"
    content = replaced(content, ("LISTEN", f"127.0.0.1:{port} reuseport"))
    config.write_text(NGINX.format(content=content))
    program = Program(test, nginx, "-e", "stderr", "-p", str(folder), "-c", str(config))
    await program.line('using the "epoll" event method')  # it listens by then
    return port


def start_haproxy(test: TestCase, config: str) -> int:
    """
    Start HAProxy, which gets a port that listens already as its stdin.

    :param config: with ``fd@0`` as the address to listen on.
    :return: its port.
    """
    haproxy = installed("haproxy")
    path = Path(test.mktemp()).absolute()
    path.write_text(config + "\n")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        Program(test, haproxy, "-db", "-f", str(path), stdin=listening.fileno())
    return port
