"""
An SSH session over rdv, with Conch. On the host behind NAT, a Python shell::

    twist manhole --sshPort DESCRIPTION --passwd users --sshKeyDir . --sshKeyName host.key

where a line of ``users`` is ``NAME:PASSWORD``; here, with what ``ssh-keygen -lf host.key`` shows::

    python examples/ssh_session.py DESCRIPTION NAME PASSWORD FINGERPRINT '6 * 7'
"""

from __future__ import annotations

import re
import sys
from typing import Any

from twisted.conch.ssh import channel, connection, keys, transport, userauth
from twisted.conch.ssh.session import packRequest_pty_req
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.task import react


class Session(channel.SSHChannel):
    """A shell that gets one line of input, and then the end."""

    name = b"session"
    conn: Any
    data: Any
    shown = b""

    def channelOpen(self, specificData: bytes) -> None:
        self.conn.sendRequest(self, b"pty-req", packRequest_pty_req(b"xterm", (24, 80, 0, 0), b""))
        self.conn.sendRequest(self, b"shell", b"")
        self.conn.sendData(self, self.data + b"\r\x04")

    def dataReceived(self, data: bytes) -> None:
        self.shown += data

    def closed(self) -> None:
        self.conn.transport.loseConnection()


class Transport(transport.SSHClientTransport):
    """Only accepts one host key, because rdv does not identify the peer."""

    def __init__(self, trusted: str, login: userauth.SSHUserAuthClient) -> None:
        self.trusted, self.login, self.ended = trusted, login, Deferred[object]()

    def verifyHostKey(self, key: bytes, fingerprint: bytes) -> Deferred[Any]:
        shown = keys.Key.fromString(key).fingerprint(keys.FingerprintFormats.SHA256_BASE64)
        known = self.trusted == "SHA256:" + shown.rstrip("=")
        return succeed(1) if known else fail(ValueError(shown))

    def connectionSecure(self) -> None:
        self.requestService(self.login)

    def connectionLost(self, reason: object = None) -> None:
        self.ended.callback(None)


async def main(reactor: Any, description: str, *words: str) -> None:
    """Log in, and send one line."""
    name, password, trusted, line = words
    conch: Any = connection.SSHConnection()
    session = Session(conn=conch, data=line.encode())
    conch.serviceStarted = lambda: conch.openChannel(session)
    login: Any = userauth.SSHUserAuthClient(name.encode(), conch)
    login.getPassword = lambda: succeed(password.encode())
    ssh = Transport(trusted, login)
    await connectProtocol(clientFromString(reactor, description), ssh)
    await ssh.ended
    if not session.shown:
        sys.exit("no session: another host key, or a wrong password")
    print(re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|c)", "", session.shown.decode()).strip(), flush=True)


if __name__ == "__main__":
    react(main, sys.argv[1:])
