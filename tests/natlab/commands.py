"""
The real commands in a lab, and their results. All calls block.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from tests.natlab.lab import Host
from tests.natlab.namespaces import LabError
from tests.natlab.programs import Lines

__all__ = ["Command", "Ended"]

#: Seconds for each to end.
_PATIENCE = 60.0

#: What the last line on stderr must say, by exit status.
_LAST = {
    0: r"(CONNECTED|MOVED): ",
    1: r"rdv: (no path to the peer|no connection within|the peer did not prove)",
    3: r"rdv: the stream broke: ",
    143: r"",
}


@dataclass(frozen=True)
class Ended:
    """
    The result of a command.

    :ivar lines: of its stderr.
    """

    status: int
    stdout: bytes
    lines: list[str]

    def __str__(self) -> str:
        return f"status {self.status}, {len(self.stdout)} bytes, {self.lines}"

    def is_told(self, secured: bool) -> bool:
        """Whether it has told of streams of that kind only, and its last words fit its status."""
        text = "\n".join(self.lines)
        connected = re.findall(r"^CONNECTED.*", text, re.MULTILINE)
        if any((", secure, " in line) is not secured for line in connected):
            return False
        last = re.search(_LAST.get(self.status, "$^"), text.rpartition("\n")[2])
        return last is not None and "Traceback" not in text


class Command:
    """
    ``rdv``, started on a host.

    :param stdin: everything that it can read.
    """

    def __init__(self, host: Host, *arguments: str, stdin: bytes = b"") -> None:
        folder = Path(mkdtemp(dir=Path.cwd()))
        self._stdout = folder / "out"
        (folder / "in").write_bytes(stdin)
        with (folder / "in").open("rb") as input_, self._stdout.open("wb") as output:
            files = {"stdin": input_.fileno(), "stdout": output.fileno()}
            self._process = host.namespace.fork("rdv", *arguments, **files, stderr=subprocess.PIPE)
        self._stderr = Lines(self._process.stderr)

    def line(self, pattern: str) -> None:
        """
        Wait until it has said something.

        :raises LabError: when it has not.
        """
        if self._stderr.find(pattern, _PATIENCE) is None:
            raise LabError(self._stderr.text())

    def stop(self) -> Ended:
        """Tell it to end, and wait."""
        self._process.terminate()
        return self.ended()

    def ended(self) -> Ended:
        """Wait for its end."""
        status = self._process.wait(_PATIENCE)
        return Ended(status, self._stdout.read_bytes(), self._stderr.all())
