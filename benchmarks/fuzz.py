"""
Tests the parsers of data from clients, peers and operators with generated inputs::

    python -m benchmarks.fuzz                          # every target for ten seconds
    python -m benchmarks.fuzz site head --seconds 600
    python -m benchmarks.fuzz --list

Each target runs in its own process. If atheris can be imported, inputs that reach new lines of
``rdv`` are mutated further; otherwise, or with ``--plain``, valid inputs are mutated at random. A
target asserts what must hold. An input that violates this is reduced to a minimal one and printed,
and the exit status is 1. A test for each finding belongs to the module that it is about.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.fuzzing.engine import Report, Target, guided, plain

#: The targets by their modules in ``benchmarks/fuzzing``.
TARGETS = {
    "wire": ("offer", "answer", "address", "line", "token", "passing"),
    "server": ("head", "shortcut", "site", "observed", "proxy"),
    "secure": ("records", "path", "handshake", "payload"),
    "written": ("files", "toml", "environment", "values", "listening", "polling", "reports"),
    "client": ("response", "tunnel"),
}
NAMES = [name for names in TARGETS.values() for name in names]
#: Seconds that a process may take in addition to those of its target: to start, and for one input.
_BESIDE = 120


def target_of(name: str) -> Target:
    """The target with that name."""
    from importlib import import_module

    (module,) = (module for module, names in TARGETS.items() if name in names)
    targets: dict[str, Target] = import_module(f"benchmarks.fuzzing.{module}").TARGETS
    return targets[name]


def instrumented(name: str) -> Target:
    """The same, instrumented for atheris, if nothing of ``rdv`` has been imported yet."""
    import atheris

    with atheris.instrument_imports(include=["rdv"], exclude=["rdv.test"]):
        return target_of(name)


def told(report: Report) -> dict[str, Any]:
    """A report as JSON."""
    findings = [(each.place, each.text, each.data.hex()) for each in report.findings.values()]
    return {"inputs": report.inputs, "seconds": report.seconds, "findings": findings}


def one(name: str, seconds: float, *, is_plain: bool) -> None:
    """Run a target in this process, and exit."""

    def done(report: Report) -> None:
        print(json.dumps(told(report)), flush=True)
        os._exit(0)

    if is_plain:
        done(plain(target_of(name), seconds, random.Random()))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        guided(instrumented(name), seconds, Path(folder), done)


def has_atheris() -> bool:
    """Whether it can be imported."""
    try:
        import atheris  # noqa: F401
    except ImportError:
        return False
    return True


def run(name: str, seconds: float, *, is_plain: bool) -> dict[str, Any]:
    """Run a target in its own process; return its report."""
    command = [sys.executable, "-m", "benchmarks.fuzz", name, "--one", "--seconds", str(seconds)]
    root = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, *(["--plain"] if is_plain else [])],
            cwd=root,
            env={**os.environ, "TMPDIR": folder},
            capture_output=True,
            timeout=seconds + _BESIDE,
            check=False,
        )
        lines = done.stdout.splitlines()
        if done.returncode == 0 and lines:
            found: dict[str, Any] = json.loads(lines[-1])
            return found
        # libFuzzer has ended the process: too slow, too much memory, or a crash in C code.
        kept = [each.read_bytes().hex() for each in Path(folder).glob("**/stopped-*")]
    said = [each for each in done.stderr.decode(errors="replace").splitlines() if each.strip()]
    text = " / ".join(each.strip() for each in said[-3:])
    return {"inputs": 0, "seconds": seconds, "findings": [("stopped", text, "".join(kept))]}


def line(name: str, result: dict[str, Any]) -> str:
    """The result of a target, as a line."""
    rate = result["inputs"] / result["seconds"]
    found = result["findings"]
    text = f"{len(found)} found" if found else "nothing found"
    return f"{name:12} {result['inputs']:9} inputs {rate:8.0f}/s {result['seconds']:6.0f} s  {text}"


def main() -> int:
    """Run the program; return the exit status: 0 when nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, prog="fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--list", action="store_true", help="name the targets")
    parser.add_argument("--seconds", type=float, default=10, help="for each (default 10)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="at once (default 2)")
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(NAMES))
        return 0
    names = arguments.targets or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"no such target: {unknown[0]}; --list names them")
    if arguments.one:
        one(names[0], arguments.seconds, is_plain=arguments.plain)
    is_plain = arguments.plain or not has_atheris()
    total = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        running = [
            (name, pool.submit(run, name, arguments.seconds, is_plain=is_plain)) for name in names
        ]
        for name, result in running:
            found = result.result()
            print(line(name, found), flush=True)
            for place, text, data in found["findings"]:
                print(f"    {place}: {text}\n    {bytes.fromhex(data)!r}")
            total += len(found["findings"])
    return int(bool(total))


if __name__ == "__main__":
    sys.exit(main())
