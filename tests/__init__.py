"""
System tests: real processes, real sockets, real signals. Run with ``trial tests``.

Programs that they start are asked to use no proxy that the environment has for this host's own
connections: the networks of the laboratory are none that it knows. With ``RDV_TEST_REACTOR`` in the
environment, such as ``asyncio`` or ``select``, all of them use that reactor of Twisted's: see
``tests/reactor``.
"""

import os
from pathlib import Path

for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

#: What the path of every Python program under test begins with.
PYTHON_PATH = [str(Path(__file__).parent / "reactor")] if "RDV_TEST_REACTOR" in os.environ else []
if PYTHON_PATH:
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*PYTHON_PATH, *([before] if before else [])])
