"""
The words of a command line, before and while argparse reads them.
"""

from __future__ import annotations

import argparse
import sys

from rdv.telling import Form, Teller

TYPE_CHECKING = False  # that of typing takes 5 ms to load
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["parser_for"]


def parser_for(form: Form) -> type[argparse.ArgumentParser]:
    """
    The class of a parser.

    :param form: how it tells wrong usage: as lines for a person, or as JSON.
    """
    return _ForPrograms if form is Form.JSON else _ForPeople


class _ForPeople(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        Teller().fail(message, 2)
        self.exit(2)


class _ForPrograms(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        Teller(Form.JSON).fail(message, 2)
        self.exit(2)
