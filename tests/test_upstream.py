"""
Possible reports to Twisted: the change does what the page says.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.testing import StringTransport
from twisted.protocols import haproxy
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from rdv.test.doubles import Recorder
from rdv.test.server.site.test_proxy_header import CLIENTS, NONSENSE, WRONG
from tests.documents import runs


class ProxyHeaderTests(SynchronousTestCase):
    """The one for PROXY headers, applied to a copy of Twisted's package."""

    def patched(self, patch: str) -> type:
        """The class of the wrapper, with the change."""
        folder = Path(self.mktemp()).absolute()
        copy = folder / "src/twisted/protocols/haproxy"
        shutil.copytree(str(Path(str(haproxy.__file__)).parent), copy)
        # As if there were no repository around it: otherwise git would ignore this folder.
        environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
        applied = subprocess.run(
            ["git", "apply", "-"],
            input=f"{patch}\n".encode(),
            cwd=folder,
            env=environment,
            check=False,
        )
        if applied.returncode:
            raise SkipTest("this Twisted is another one")
        name = "haproxy_with_the_change"
        copy.rename(folder / name)
        self.patch(sys, "path", [str(folder), *sys.path])
        wrapper: type = importlib.import_module(f"{name}._wrapper").HAProxyProtocolWrapper
        for module in [each for each in sys.modules if each.startswith(name)]:
            del sys.modules[module]
        return wrapper

    @runs("docs/upstream.rst", "--- a/src/twisted/protocols/haproxy/_v1parser.py")
    def test_change(self, patch: str) -> None:
        """Headers cut anywhere, and the one that names nobody; what was refused still is."""
        wrapper = self.patched(patch)

        factory: WrappingFactory[Any] = WrappingFactory(Factory())

        def come(*pieces: bytes) -> tuple[bytes, bool]:
            recorder, transport = Recorder(), StringTransport()
            proxied = wrapper(factory, recorder)
            proxied.makeConnection(transport)
            for piece in pieces:
                proxied.dataReceived(piece)
            return recorder.received, transport.disconnecting

        for header in (*CLIENTS, b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN x y\r\n"):
            for cut in range(1, len(header) + 1):
                self.assertEqual(come(header[:cut], header[cut:] + b"x"), (b"x", False), header)
        for data in (*WRONG, *NONSENSE[1:2], *NONSENSE[3:5]):
            self.assertEqual(come(data + b"\r\n"), (b"", True), data)
