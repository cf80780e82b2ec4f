"""``python -m rdv``: the ``rdv`` command."""

import sys

from rdv.cli import main

sys.exit(main())
