"""
System tests: real processes, real sockets, real signals. Run with ``trial tests``.

Programs that they start are asked to use no proxy that the environment has for this host's own
connections: the networks of the laboratory are none that it knows.
"""

import os

for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]
