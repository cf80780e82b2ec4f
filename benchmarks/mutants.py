"""
Breaks one line of the product at a time, and checks whether the unit tests notice::

    python benchmarks/mutants.py                 # all, each in a copy, two at once
    python benchmarks/mutants.py --list
    python benchmarks/mutants.py --only linger --jobs 1

It takes about twenty minutes on two processors. A mutant that survives is a line that no test in
``rdv.test`` needs. A mutant whose text does not occur exactly once is reported as stale. Mutants
are found by text instead of by file, so that code can move: the counts before and after a
restructuring can be compared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
#: Seconds for the tests of one mutant, which may well hang.
PATIENCE = 300
#: What the unit tests need.
COPIED = ("rdv", "twisted", "tests", "docs", "README.rst", "setup.py", "pyproject.toml")


class Mutant(NamedTuple):
    """Text that occurs once in the product, and its replacement."""

    old: str
    new: str

    def __str__(self) -> str:
        old, new = [" ".join(text.split()) for text in self]
        return f"{old}  =>  {new}"


MUTANTS = [
    Mutant(*pair)
    for pair in (
        # the protocol
        ('if version != b"HTTP/1.1":', "if False:"),
        ("if len(raw) > MAX_TOKEN:", "if len(raw) >= MAX_TOKEN:"),
        ('if text != text.strip(" "):', "if False:"),
        ("if len(values) != 1:", "if not values:"),
        ("if len(elements) > most:", "if len(elements) > most + 1:"),
        ("if not data.startswith(wanted):", "if False:"),
        ("if ip.ipv4_mapped is None:", "if True:"),
        # the lobby, and a pair
        ("waiting.role is not member.role", "waiting is not None"),
        ("if self._waiting.get(member.token) is not member:", "if False:"),
        ("if waiting is None or not waiting.is_silent():", "if waiting is None:"),
        ("if has_waited and self._lobby.rival(leg) is not None:", "if False:"),
        ("        for leg in silent:\n", "        for leg in ():\n"),
        ("self.other(leg).break_on_exit(True)", "pass"),
        ("                push(self.other(leg).transport)\n", "                self._close()\n"),
        ("if self.other(leg) not in self._lines:  # it has got a line", "if False:"),
        ("        if leg is self.dialer:\n            self._joined()", "        self._joined()"),
        ("if self.pair.outcome is not None or (spoke", "if (spoke"),
        ("seconds = min(abs(one_trip - other_trip) / 2, LONGEST_HOLD)", "seconds = LONGEST_HOLD"),
        ("if seconds < SHORTEST_HOLD:", "if False:"),
        ("> now or len(due) == self.batch:", "> now:"),
        ("if self._since.get(member) == since:", "if True:"),
        ('if request.method != b"HEAD":', "if True:"),
        ("if address is None or not space_of(address.ip):", "if address is None:"),
        # several processes
        ("if owner == self._index or early or", "if owner == self._index or"),
        ("return zlib.crc32(token) % workers", "return 0"),
        # moving bytes
        ("if there.tap or back.tap or not", "if not"),
        ("max(self._paid, now) + size / self._rate\n        return", "now\n        return"),
        ("if size >= _SMALL:", "if True:"),
        ("elif len(self.dataBuffer) > self.offset or self._tempDataLen:", "elif False:"),
        ("return self.flows[leg is not self._legs[0]]", "return self.flows[0]"),
        ("self._is_over = all(each.ended for each in self.flows)", "self._is_over = True"),
        ("return self._is_over and leg.written", "return self._is_over"),
        ("            if not self._is_closing(leg):\n", "            if True:\n"),
        ("if not self.connected or self._write_ended:", "if not self.connected:"),
        # the client
        ("if len(answer.peer_addresses) < 2:", "if False:"),
        ("and address.port >= lowest_port and address not in own", "and address not in own"),
        ("space_of(address.ip) & spaces and", ""),
        ("if len(same) >= self.limit:", "if False:"),
        ("if (other == ip if ip in known else other not in known)", "if True"),
        ("if ip not in self._known and not self._may_be_peer(ip):", "if False:"),
        ("return _DETOUR_PATIENCE if candidate.detour else 0.0", "return 0.0"),
        ("                if candidate.suspect:\n", "                if False:\n"),
        (
            "                self._lock.release()\n            candidate.close()\n",
            "                pass\n",
        ),
        ("if patience == math.inf or (patience > 0 and not", "if (patience > 0 and not"),
        ("if due or (self._nothing_can_come() and", "if (self._nothing_can_come() and"),
        ("return max(0.0, max(ends, default=-math.inf) - self._reactor.seconds())", "return 0.0"),
        ("if now - begun >= _HOPELESS_AFTER:", "if False:"),
        ("self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)\n        if burst", "if burst"),
        ("if relay is not None and early:", "if False:"),
        ("linger(self._relay.transport, enabled)", "pass"),
        ("if error.status in _FINAL or error.status in _FOR_THE_MOMENT:", "if False:"),
        ("return min((asked_for or 0.0) * (1 + chance() / 4), longest)", "return 0.0"),
        ("return not (self._patient or self._reached or", "return not (self._patient or"),
        ("if bool(self._in_trouble) != before:", "if True:"),
        # the secure channel
        ("if features & ~opening.features:", "if False:"),
        ("if cipher & (cipher - 1) or not cipher & opening.ciphers:", "if False:"),
        ("if not ciphers & Cipher.AES_256_GCM:", "if False:"),
        (
            "if behind:\n            raise ProtocolError(",
            "if False:\n            raise ValueError(",
        ),
        ("if known != {peer}:", "if False:"),
        ("elif self.exchange.begun and not self._message:", "elif False:"),
        ("if start != _START or not", "if not"),
        ("if not self._left:\n            raise", "if False:\n            raise"),
        ("if self._left == 1:", "if False:"),
        ("plaintext[0] in _NEVER", "False"),
        ("transport.SEND_LIMIT = _SEND_LIMIT", "pass"),
        # what the commands do
        (
            "return self._closing or (self._peer_ended and self._source_ended and",
            "return (True and",
        ),
        ("elif left or not self._all_written or secure:", "elif left or secure:"),
        ("BROKEN if isinstance(error, StreamBroken)", "OK if isinstance(error, StreamBroken)"),
        ("return None if _has_failed(sock) or", "return None if"),
    )
]


def product(root: Path) -> dict[Path, str]:
    """The product's files and their contents."""
    files = sorted((root / "rdv").rglob("*.py"))
    others = ("test", "testing")
    return {
        file: file.read_text() for file in files if file.relative_to(root).parts[1] not in others
    }


def places(root: Path, text: str) -> list[Path]:
    """The product's files with that text, each as often as it occurs there."""
    return [path for path, found in product(root).items() for _ in range(found.count(text))]


def try_out(mutant: Mutant | None) -> str:
    """
    The result for a mutant, or for the unbroken product: ``killed``, ``survived`` or ``stale``.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, root / name)
        if mutant is not None:
            found = places(root, mutant.old)
            if len(found) != 1:
                return f"stale ({len(found)} places)"
            found[0].write_text(found[0].read_text().replace(mutant.old, mutant.new))
        trial = [sys.executable, "-m", "twisted.trial", "--exitfirst", "rdv.test"]
        environment = {**os.environ, "PYTHONPATH": folder}
        try:
            done = subprocess.run(
                trial, cwd=root, env=environment, capture_output=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            return "killed (hangs)"
        return "killed" if done.returncode else "survived"


def report(mutants: Iterable[Mutant], jobs: int) -> Counter[str]:
    """Try all mutants, print each result, and count them."""
    counts: Counter[str] = Counter()
    mutants = list(mutants)
    with ThreadPoolExecutor(jobs) as pool:
        for mutant, result in zip(mutants, pool.map(try_out, mutants), strict=True):
            counts[result.split()[0]] += 1
            print(f"{result:10} {mutant}", flush=True)
    return counts


def main() -> int:
    """Run the program; return the exit status: 0 when no mutant is stale."""
    parser = argparse.ArgumentParser(description=__doc__, prog="mutants")
    parser.add_argument("--list", action="store_true", help="say which there are, and where")
    parser.add_argument("--only", default="", metavar="TEXT", help="those with this text")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="at once (default 2)")
    arguments = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if arguments.only in mutant.old]
    if arguments.list:
        for mutant in chosen:
            where = ", ".join(str(path.relative_to(ROOT)) for path in places(ROOT, mutant.old))
            print(f"{where or 'nowhere'}: {mutant}")
        return 0
    if try_out(None) != "survived":
        parser.exit(2, "the tests fail even when nothing is broken\n")
    counts = report(chosen, arguments.jobs)
    print(", ".join(f"{number} {result}" for result, number in counts.most_common()))
    return int(bool(counts["stale"]))


if __name__ == "__main__":
    sys.exit(main())
