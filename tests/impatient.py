"""
``python -m tests.impatient ARGUMENTS``: the ``rdv`` command, which gives a vanished peer a second
to come back instead of two minutes.
"""

from __future__ import annotations

import sys

from rdv._transport import liveness
from rdv.commands.cli import main

if __name__ == "__main__":
    liveness.PATIENCE, liveness.INTERVAL = 1.0, 0.25
    sys.exit(main())
