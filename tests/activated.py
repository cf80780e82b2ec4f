"""
``activated.py FD COMMAND...``: start a program like systemd's socket activation. FD is the
listening socket; the program has it as descriptor 3, under the name ``rdv``.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.dup2(int(sys.argv[1]), 3)
    os.environ |= {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "rdv",
    }
    os.execv(sys.argv[2], sys.argv[2:])
