"""
Secrets, and either kind of server, for the system tests of secured streams.
"""

from __future__ import annotations

from typing import Any

from rdv._secure.secret import Secret
from tests.processes import PYTHON, Program
from tests.servers import DIRECT, RELAYED, SystemTestCase

__all__ = ["PATHS", "STEADY", "SecureTestCase", "secured"]


def secured(path: str) -> str:
    """The pattern of what a client says when it is connected, by the path ``p2p`` or ``relay``."""
    return rf"CONNECTED: {path} (?:127\.0\.0\.1|\[::1\]):\d+, secure, \d+ms"


#: Options with which two clients on this host connect directly and immediately, however busy it is.
STEADY = (*DIRECT, "--no-move")
#: The options with which a client finds a path, and what it reports about that.
PATHS = ((STEADY, secured("p2p")), (RELAYED, secured("relay")))


class SecureTestCase(SystemTestCase):
    """
    Its clients share a secret.

    :ivar secret: in its text form.
    """

    forked = True

    def setUp(self) -> None:
        self.secret = Secret.generate().reveal()

    def dial(self, *options: str, token: str = "", **descriptors: Any) -> Program:
        return super().dial(*options, token=token or self.secret, **descriptors)

    def accept(self, *options: str, token: str = "", **descriptors: Any) -> Program:
        return super().accept(*options, token=token or self.secret, **descriptors)

    async def serve_plain(self) -> Program:
        """Start a server that closes both directions of a relayed stream when one has ended."""
        server = Program(self, PYTHON, "-m", "tests.plain_server", "--port", "0")
        self.port = int((await server.line(r"^listening 127\.0\.0\.1:(\d+)$"))[1])
        self.url = f"http://127.0.0.1:{self.port}/rdv"
        return server
