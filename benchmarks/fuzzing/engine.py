"""
Runs one target on ever new inputs, and shrinks those that it cannot stand.
"""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Finding", "Report", "Target", "cut", "guided", "plain", "shrunk"]

#: Tries at most to make an input smaller.
_PATIENCE = 2000


class Target(NamedTuple):
    """
    What is tried.

    :ivar run: takes an input; whatever it raises is a finding.
    :ivar seeds: inputs to begin with.
    :ivar words: what inputs are made of, beside bytes.
    :ivar longest: bytes of an input at most.
    """

    run: Callable[[bytes], object]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()
    longest: int = 1024


class Finding(NamedTuple):
    """
    An input that a target cannot stand.

    :ivar place: of the exception: its type, and the innermost line of the product.
    :ivar text: what it says.
    """

    place: str
    text: str
    data: bytes


class Report:
    """What has come of a run."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._begun = time.monotonic()
        self.inputs = 0
        self.findings: dict[str, Finding] = {}

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._begun

    def take(self, data: bytes) -> None:
        """Try an input. One that fails where another one did is not looked at again."""
        self.inputs += 1
        finding = attempt(self._target, data)
        if finding is not None and finding.place not in self.findings:
            self.findings[finding.place] = shrunk(self._target, finding)


def attempt(target: Target, data: bytes) -> Finding | None:
    """What comes of one input; None when all is well."""
    try:
        target.run(data)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [each for each in frames if "/rdv/" in each.filename] or list(frames)
        name, line = Path(ours[-1].filename).name, ours[-1].lineno
        return Finding(f"{type(error).__name__} at {name}:{line}", str(error)[:200], data)
    return None


def shrunk(target: Target, finding: Finding) -> Finding:
    """The same finding with an input from which nothing can be left out."""
    left, size = _PATIENCE, len(finding.data)
    while size:
        start = 0
        while start < len(finding.data) and left:
            left -= 1
            shorter = finding.data[:start] + finding.data[start + size :]
            found = attempt(target, shorter)
            if found is not None and found.place == finding.place:
                finding = found
            else:
                start += size
        size //= 2
    return finding


def cut(data: bytes) -> tuple[list[bytes], bytes]:
    """
    The pieces of an input whose first two bytes say how it is cut, and all of it: the length of the
    first piece, and that of the others. 0 is for all that is left.
    """
    first, size, data = data[:1], data[1:2], data[2:]
    start = (first[0] if first else 0) or len(data)
    step = (size[0] if size else 0) or len(data) or 1
    pieces = [data[:start], *(data[at : at + step] for at in range(start, len(data), step))]
    return [each for each in pieces if each], data


def plain(target: Target, seconds: float, source: random.Random) -> Report:
    """Run for so long on seeds, and on what becomes of them by chance."""
    report = Report(target)
    for data in _changed(target, source):
        report.take(data)
        if report.seconds > seconds:
            break
    return report


def _changed(target: Target, source: random.Random) -> Iterator[bytes]:
    seeds = [*target.seeds, b""]
    yield from seeds
    while True:
        data = source.choice(seeds)
        for _ in range(source.randint(1, 4)):
            start, end = sorted(source.randint(0, len(data)) for _ in range(2))
            new = source.choice(
                (
                    b"",
                    source.randbytes(source.randint(1, 4)),
                    source.choice((*target.words, b"\0")),
                    source.choice(seeds)[start:end],
                    data[start:end] * 2,
                )
            )
            if source.random() < 0.5:
                end = min(end, start + 1)
            data = data[:start] + new + data[end:]
        yield data[: target.longest]


def guided(target: Target, seconds: float, folder: Path, done: Callable[[Report], Any]) -> None:
    """
    Run for so long, or a little longer, on inputs that atheris makes: those that come to new lines
    of instrumented modules are changed further. A process can do this once.

    :param folder: for what it knows, and for an input that ends the process or takes too long.
    :param done: takes the report. It has to end the process.
    """
    import atheris

    report = Report(target)

    def take(data: bytes) -> None:
        report.take(data)
        if report.seconds > seconds:
            done(report)

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(data)
    words = ["".join(f"\\x{byte:02x}" for byte in word) for word in (*target.words, b"\0")]
    (folder / "words").write_text("".join(f'"{word}"\n' for word in words))  # never an empty file
    options = {
        "dict": folder / "words",
        "artifact_prefix": f"{folder}/stopped-",
        "max_len": target.longest,
        "timeout": 60,
        "rss_limit_mb": 2048,
    }
    arguments = ["fuzz", *(f"-{name}={value}" for name, value in options.items()), str(corpus)]
    atheris.Setup(arguments, take)
    atheris.Fuzz()
