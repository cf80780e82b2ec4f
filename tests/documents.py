"""
The literal blocks of the documentation, each of which belongs to a test that runs it, or compares
it with the output of a program.

::

    @runs("README.rst", "rdv demo", "server: http")
    async def test_demo(self, command: str, output: str) -> None:
        ...

A block is identified by its text, or by a part of it that no other block of that document has.
"""

from __future__ import annotations

import ast
import functools
import os
import re
from collections.abc import Callable
from inspect import iscoroutine
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeVar, cast

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IListeningPort
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from rdv import Secret
from rdv.addresses import AddressSpace
from rdv.client import Client, Connection
from rdv.server import ObservedAddress, Rendezvous, RendezvousResource, peer_address
from tests.processes import PYTHON, ROOT, Program

REACTOR: Any = reactor
PROGRAMS = {
    "python": "",
    "rdv": "-m rdv",
    "trial": "-P -m twisted.trial",  # as installed: not from the current folder
    "twist": "-m twisted",
    "twistd": "-P -c 'from twisted.scripts.twistd import run; run()'",
}
#: Stands for the secret that another command has printed.
SECRET = "rdvs1-..."
CODE_BLOCK = re.compile(r"\s*\.\. code-block::")
DIRECTIVE = re.compile(r"\s*\.\. ")

F = TypeVar("F", bound=Callable[..., Any])

_run: dict[str, list[str]] = {}


def literal_blocks(text: str) -> list[str]:
    """The literal blocks of a document, ``code-block`` directives included, in order."""
    blocks = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if not CODE_BLOCK.match(line) and (DIRECTIVE.match(line) or not line.endswith("::")):
            continue
        block = []
        while lines and (not lines[0].strip() or _indent(lines[0]) > _indent(line)):
            block.append(lines.pop(0))
        blocks.append(dedent("\n".join(block)).strip())
    return blocks


def _indent(line: str) -> int:
    """How far the text of a line is indented; a bullet does not count as text."""
    return len(line) - len(re.sub(r"^\s*(?:[-*] )?", "", line))


def runs(document: str, *names: str) -> Callable[[F], F]:
    """Give a test the blocks with these names, each as an argument, and note that they are run."""

    def decorate(test: F) -> F:
        @functools.wraps(test)
        def with_blocks(self: TestCase) -> object:
            return test(self, *(named_block(document, name) for name in names))

        _run.setdefault(document, []).extend(names)
        return cast(F, with_blocks)

    return decorate


def blocks_of(document: str) -> list[str]:
    """All blocks of a document, which is named by its path in the checkout."""
    return literal_blocks((ROOT / document).read_text(encoding="utf-8"))


def named_block(document: str, name: str) -> str:
    """The block that is ``name``, or else the only one that contains it."""
    blocks = blocks_of(document)
    found = [block for block in blocks if block == name] or [b for b in blocks if name in b]
    if len(found) != 1:
        raise AssertionError(f"{document} has {len(found)} blocks with {name!r}, not one")
    return found[0]


def blocks_without_test(document: str) -> list[str]:
    """The blocks that no test has asked for with :func:`runs`."""
    run = [named_block(document, name) for name in _run.get(document, ())]
    return [block for block in blocks_of(document) if block not in run]


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """``text`` with each first of a pair replaced by the second; it has to be there."""
    for old, new in pairs:
        if old not in text:
            raise AssertionError(f"there is no {old!r} in {text!r}")
        text = text.replace(old, new)
    return text


def shape(text: str) -> str:
    """A text without its addresses and numbers: what two runs of a program have in common."""
    return re.sub(r"\d+", "N", re.sub(r"\[[0-9a-f:]+\]|\d+(\.\d+){3}", "IP", text)).strip()


class Shell:
    """
    A shell in an empty folder, with this Python and its programs on the path, and the examples.

    :ivar folder: where its commands run.
    """

    def __init__(self, test: TestCase) -> None:
        self._test = test
        self.folder = Path(test.mktemp()).resolve()
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        for name, options in PROGRAMS.items():
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{PYTHON}" {options} "$@"\n')
            program.chmod(0o755)
        (self.folder / "examples").symlink_to(ROOT / "examples")
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, command: str) -> Program:
        """Start one command, as it stands in a document."""
        # exec: the program itself is what a test signals and kills, not a shell round it.
        return self._start("/bin/sh", "-c", f"exec {command}")

    def script(self, commands: str) -> Program:
        """Start commands that end by themselves."""
        return self._start("/bin/sh", "-e", "-c", commands)

    def python(self, source: str) -> Program:
        """Start a Python program."""
        return self._start(PYTHON, "-c", source)

    def _start(self, *argv: str) -> Program:
        return Program(self._test, *argv, env=self._environment, cwd=self.folder)


async def made_by(program: Program) -> str:
    """The secret that ``rdv accept`` or ``rdv expose`` has made."""
    return (await program.line(r"^On the other side: .*(rdvs1-\S+)"))[1]


async def listening_port(program: Program) -> int:
    """The port of a server that logs as Twisted does."""
    return int((await program.line(r" starting on (\d+)"))[1])


def serve(
    test: TestCase,
    rendezvous: Rendezvous | None = None,
    observed_address: ObservedAddress = peer_address,
) -> str:
    """Run a server in this process until the test ends; return its URL."""
    rendezvous = rendezvous or Rendezvous(REACTOR)
    site = Site(RendezvousResource(rendezvous, observed_address), reactor=REACTOR)
    port: IListeningPort = REACTOR.listenTCP(0, site, interface="127.0.0.1")
    test.addCleanup(port.stopListening)
    test.addCleanup(rendezvous.close)
    return f"http://127.0.0.1:{cast(Any, port.getHost()).port}/rdv"


async def meet(url: str, token: str | Secret = "t", **options: Any) -> list[Connection]:
    """
    Connect an acceptor and a dialer, in this order, through the relay.

    :param options: keywords for their :class:`Client`.
    """
    client = Client(REACTOR, **{"spaces": AddressSpace.NONE, **options})
    return await gatherResults([client.accept(url, token), client.dial(url, token)])


async def meet_and_part(url: str, token: str = "t", **options: Any) -> None:
    """Connect two, and no more."""
    for connection in await meet(url, token, **options):
        connection.abortConnection()


def raw_request(role: str) -> str:
    """A request with the token ``t``."""
    headers = "Host: x\r\nConnection: upgrade\r\nUpgrade: rdv/1\r\nRdv-Token: t"
    return f"{role} /rdv HTTP/1.1\r\n{headers}\r\n\r\n"


async def execute(source: str, **names: Any) -> dict[str, Any]:
    """
    Execute Python in this process; it may await.

    :param names: what it finds defined.
    :return: that, and what it has defined.
    """
    code = compile(source, "<document>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if iscoroutine(result):
        await result
    return names
