"""
Without what only Linux has, everything loads, and bytes are copied.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

#: What other systems do not have. Twisted and the standard library are loaded before it is removed.
PROGRAM = """
import fcntl, os, select, socket, sys
from twisted.internet import pollreactor, reactor, selectreactor
import twisted.web.server, twisted.internet.tcp, treq
for module, beginnings in (
    (select, ("epoll", "EPOLL")),
    (os, ("splice", "SPLICE", "pipe2")),
    (fcntl, ("F_SETPIPE", "F_GETPIPE")),
):
    for name in [name for name in dir(module) if name.startswith(beginnings)]:
        delattr(module, name)
sys.platform = "darwin"
import rdv.client, rdv.commands.demo, rdv.server, rdv._stdio.stream
from rdv._flows.kernel.takeover import Splicer
assert Splicer.for_reactor(reactor) is None
print("loaded")
"""


class OtherSystemTests(SynchronousTestCase):
    """As far as Linux can play another system."""

    def test_loads(self) -> None:
        result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
        self.assertEqual((result.stdout, result.stderr), ("loaded\n", ""))
