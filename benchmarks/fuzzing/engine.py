"""
Runs one target on ever new inputs, and minimises those that it fails on.
"""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Finding", "Report", "Target", "cut", "guided", "plain", "shrunk"]

#: Maximum number of attempts to make an input smaller.
_PATIENCE = 2000


class Target(NamedTuple):
    """
    A function under test.

    :ivar run: takes an input; any exception is a finding.
    :ivar seeds: initial inputs.
    :ivar words: parts of inputs, in addition to single bytes.
    :ivar longest: maximum length of an input in bytes.
    """

    run: Callable[[bytes], object]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()
    longest: int = 1024


class Finding(NamedTuple):
    """
    An input that a target fails on.

    :ivar place: identifies the exception: its type, and the innermost line of the product.
    :ivar text: its message.
    """

    place: str
    text: str
    data: bytes


class Report:
    """The result of a run."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._begun = time.monotonic()
        self.inputs = 0
        self.findings: dict[str, Finding] = {}

    @property
    def seconds(self) -> float:
        """The time since the start."""
        return time.monotonic() - self._begun

    def take(self, data: bytes) -> None:
        """Try an input. If it fails at a known place, it is ignored."""
        self.inputs += 1
        finding = attempt(self._target, data)
        if finding is not None and finding.place not in self.findings:
            self.findings[finding.place] = shrunk(self._target, finding)


def attempt(target: Target, data: bytes) -> Finding | None:
    """The finding for one input; None if it passes."""
    try:
        target.run(data)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [each for each in frames if "/rdv/" in each.filename] or list(frames)
        name, line = Path(ours[-1].filename).name, ours[-1].lineno
        return Finding(f"{type(error).__name__} at {name}:{line}", str(error)[:200], data)
    return None


def shrunk(target: Target, finding: Finding) -> Finding:
    """The same finding with an input from which nothing can be removed."""
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
    Divide an input into pieces. Its first two bytes are the lengths of the first piece and of the
    others; 0 means all that is left. Returns the pieces, and the rest of the input as a whole.
    """
    first, size, data = data[:1], data[1:2], data[2:]
    start = (first[0] if first else 0) or len(data)
    step = (size[0] if size else 0) or len(data) or 1
    pieces = [data[:start], *(data[at : at + step] for at in range(start, len(data), step))]
    return [each for each in pieces if each], data


def plain(target: Target, seconds: float, source: random.Random) -> Report:
    """Run for this long on the seeds, and on random mutations of them."""
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
    Run for this long, or a little longer, on inputs from atheris, which mutates those that reach
    new lines of instrumented modules. A process can do this once.

    :param folder: for the corpus, and for an input that ends the process or takes too long.
    :param done: takes the report. It must end the process.
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
