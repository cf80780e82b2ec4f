"""
System tests: real processes, real sockets, real signals. Run with ``trial tests``.

The programs do not use a proxy from the environment, which does not know the networks of the
laboratory. With ``RDV_TEST_REACTOR`` in the environment, such as ``asyncio`` or ``select``, all of
them use that Twisted reactor: see ``tests/reactor``.
"""

import os
from pathlib import Path

for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

#: The beginning of the module path of each Python program under test.
PYTHON_PATH = [str(Path(__file__).parent / "reactor")] if "RDV_TEST_REACTOR" in os.environ else []
if PYTHON_PATH:
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*PYTHON_PATH, *([before] if before else [])])
