"""``python -m rdv``: the ``rdv`` command."""

import sys

from rdv.commands.cli import main

sys.exit(main())
