"""
``rdv demo``.
"""

from __future__ import annotations

import argparse
from typing import Any

from rdv._stdio.console import Console
from rdv.commands.status import BROKEN, OK
from rdv.demo import demonstrate

__all__ = ["run"]


async def run(reactor: Any, arguments: argparse.Namespace, console: Console) -> int:
    """Show that it works."""
    return OK if await demonstrate(reactor, lambda text: console.tell("step", text)) else BROKEN
