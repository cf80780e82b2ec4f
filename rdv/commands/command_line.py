"""
The words of a command line, before and while argparse reads them.

argparse expects an option after the subcommand to which it belongs, and treats each word that
begins with a dash as an option. People write options in any place, and one in 64 tokens from
``secrets.token_urlsafe`` begins with a dash.
"""

from __future__ import annotations

import argparse
import re
import sys
from itertools import islice

from rdv._stdio.console import Console, Form

TYPE_CHECKING = False  # importing that of typing takes 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import NoReturn, TypeVar

    T = TypeVar("T")

__all__ = ["CommandParser", "arranged", "checked", "parser_for"]

_HINT = "put a token that starts with a dash after --, as in: rdv {} -- URL -TOKEN"
#: What argparse accepts as a value although it begins with a dash.
_VALUE = re.compile(r"-\d+$|-\d*\.\d+$|.* ", re.DOTALL)
#: A secret in an error message, of any version (see :func:`rdv.wire.is_secret`): its first part.
_SECRET = re.compile(r"(rdvs[0-9]+-)[-\w]*", re.IGNORECASE)


class CommandParser(argparse.ArgumentParser):
    """
    Reports wrong usage like any other error.

    :ivar hint: advice for a user who has forgotten the token.
    """

    hint = ""
    form = Form.TEXT

    def error(self, message: str) -> NoReturn:
        if self.form is not Form.JSON:
            self.print_usage(sys.stderr)
        if self.hint:
            message = f"{message} ({self.hint})"
        message = _SECRET.sub(r"\1…", message)  # argparse quotes the words that it does not know
        Console(self.form).fail(message, 2)
        self.exit(2)

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Report words that belong to no option and no argument."""
        import difflib

        message = f"unrecognized arguments: {' '.join(words)}"
        names = [word.partition("=")[0] for word in words if word.startswith("--")]
        meant = difflib.get_close_matches(names[0], _options_of([self]), 1, 0.7) if names else []
        self.error(f"{message}; did you mean {meant[0]}?" if meant else message)


class _ForPrograms(CommandParser):
    form = Form.JSON


def checked(kind: Callable[[str], T]) -> Callable[[str], T]:
    """
    The type of an argument.

    :param kind: its ValueError's text becomes the error message.
    """

    def convert(text: str) -> T:
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def parser_for(form: Form) -> type[CommandParser]:
    """
    The class of a parser.

    :param form: how it reports wrong usage: as lines for a human, or as JSON.
    """
    return _ForPrograms if form is Form.JSON else CommandParser


def arranged(words: Sequence[str], commands: Mapping[str, CommandParser]) -> Sequence[str]:
    """
    The words of a command line in an order that argparse understands: the command, its options, and
    after them everything else.

    :param commands: each parser by its command.
    """
    options = _options_of(commands.values())
    before: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in commands:
            return [word, *_arranged(word, commands[word], [*before, *rest])]
        if not _is_option(word):
            return [word]  # no command: argparse lists the commands
        before.append(word)
        if _look_up(word, options)[1]:
            before.extend(islice(rest, 1))
    return [word for word in before if _is_option(word)]


def _arranged(command: str, parser: CommandParser, words: list[str]) -> list[str]:
    options, places = _options_of([parser]), _places_of(parser)
    found: list[str] = []
    values: list[str] = []
    rest = iter(words)
    token: int | None = None  # the index in ``found`` of what may be it
    dashed, whole = False, True
    for word in rest:
        if word == "--":
            values.extend(rest)
        elif not _is_option(word):
            values.append(word)
        else:
            known, takes_next = _look_up(word, options)
            if not known and token is None and places[len(values) :][:1] == ["token"]:
                token = len(found)
            dashed = dashed or word not in options
            found.append(word)
            if takes_next:
                value = next(rest, None)
                whole = value is not None
                found.extend([] if value is None else [value])
    if "token" in places and len(values) < len(places):
        if token is not None and len(values) == len(places) - 1:
            values.insert(places.index("token"), found.pop(token))
        elif dashed:
            parser.hint = _HINT.format(command)
            parser.set_defaults(hint=parser.hint)
    if not whole:
        return words  # unchanged: the next word would be taken for the missing value
    if any(value.startswith("-") for value in values):
        found.append("--")
    return found + values


def _options_of(parsers: Iterable[argparse.ArgumentParser]) -> dict[str, bool]:
    """The options of a parser, and whether each takes a value."""
    actions = (action for parser in parsers for action in parser._actions)
    return {name: action.nargs != 0 for action in actions for name in action.option_strings}


def _places_of(parser: argparse.ArgumentParser) -> list[str]:
    """The positional arguments."""
    return [action.dest for action in parser._actions if not action.option_strings]


def _is_option(word: str) -> bool:
    """Whether argparse takes it for one, known or not."""
    return word.startswith("-") and word != "-" and not _VALUE.match(word)


def _look_up(word: str, options: Mapping[str, bool]) -> tuple[bool, bool]:
    """Whether a word is an option, or several; and whether the next word is its value."""
    if word in options:
        return True, options[word]
    if word.startswith("--"):
        name, equals, _ = word.partition("=")
        begun = [takes for option, takes in options.items() if option.startswith(name)]
        return bool(begun), bool(begun) and all(begun) and not equals
    for position, letter in enumerate(word[1:], 1):
        takes = options.get(f"-{letter}")
        if takes is None:
            return False, False
        if takes:  # the rest is its value
            return True, position == len(word) - 1
    return True, False
