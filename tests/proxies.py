"""
HAProxy and nginx as reverse proxies for the tests, each with one backend.

Nobody else can get their ports. HAProxy inherits a listening socket: a client that comes before it
is ready waits in the queue. nginx listens itself, on a port that is kept for it.
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.processes import Program
from tests.servers import SystemTestCase

HAPROXY = """
global
  maxconn 100
defaults
  mode {mode}
  timeout connect 10s
  timeout client 100s
  timeout server 100s
  timeout tunnel 100s
frontend clients
  bind fd@0 {tls}
  {rule}
  default_backend servers
backend servers
  server rdv 127.0.0.1:{backend} {send_proxy}
"""

NGINX = """
daemon off;
master_process off;
pid {directory}/pid;
error_log stderr notice;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl reuseport;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    location / {{
      proxy_pass http://127.0.0.1:{backend};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Connection upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Client $remote_addr:$remote_port;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""


class ProxyTestCase(SystemTestCase):
    """Starts a proxy before the server that was started last, and lets clients use it."""

    def program(self, name: str) -> str:
        """
        Where a program is.

        :raises SkipTest: when it is not installed.
        """
        path = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if path is None:
            raise SkipTest(f"{name} is not installed")
        return path

    def start_haproxy(
        self, *, mode: str = "tcp", send_proxy: str = "", rule: str = "", tls: str = ""
    ) -> Program:
        """Start HAProxy; :attr:`url` leads through it from now on."""
        program, backend = self.program("haproxy"), self.port
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.port = listener.getsockname()[1]
        configuration = HAPROXY.format(
            mode=mode, backend=backend, send_proxy=send_proxy, rule=rule, tls=tls
        )
        path = self.file_of(configuration.encode())
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/rdv"
        return Program(self, program, "-db", "-f", path, stdin=listener.fileno())

    async def start_nginx(self, certificate: str) -> Program:
        """Start nginx; :attr:`url` leads through it, by https, from now on."""
        program, backend = self.program("nginx"), self.port
        holder = socket.socket()
        self.addCleanup(holder.close)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        self.port = holder.getsockname()[1]
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        configuration = NGINX.format(
            directory=directory, port=self.port, certificate=certificate, backend=backend
        )
        path = self.file_of(configuration.encode())
        self.url = f"https://127.0.0.1:{self.port}/rdv"
        nginx = Program(self, program, "-p", str(directory), "-e", "stderr", "-c", path)
        await nginx.line(r"notice.*: OS: ")  # its ports are open before
        return nginx
