"""
``check_types.py``: the errors that ``mypy --strict`` reports for programs that use rdv, with and
without the plugin for zope.interface. Run this with a Python that has both and rdv.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TYPED = Path(__file__).resolve().parent / "typed"
PLUGIN = "plugins = mypy_zope:plugin\n"


def wanted() -> set[str]:
    """The errors that the programs expect: ``wrong.py:7 arg-type``."""
    return {
        f"{path.name}:{number} {found[1]}"
        for path in TYPED.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := re.search(r"# error: ([a-z-]+)$", line))
    }


def told(folder: Path, plugin: str) -> set[str]:
    """The errors that mypy reports."""
    settings = folder / "mypy.ini"
    settings.write_text(f"[mypy]\nstrict = True\n{plugin}")
    command = [sys.executable, "-m", "mypy", "--config-file", str(settings)]
    done = subprocess.run(
        [*command, "--cache-dir", str(folder), *map(str, sorted(TYPED.glob("*.py")))],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    if done.returncode not in (0, 1):
        sys.exit(done.stdout + done.stderr)
    lines = re.findall(r"(\w+\.py):(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    return {f"{name}:{number} {code}" for name, number, code in lines}


if __name__ == "__main__":
    complaints = []
    for plugin in (PLUGIN, ""):
        with tempfile.TemporaryDirectory() as folder:
            found = told(Path(folder), plugin)
        way = "with" if plugin else "without"
        complaints += [f"{each}: not found {way} the plugin" for each in sorted(wanted() - found)]
        complaints += [f"{each}: told {way} the plugin" for each in sorted(found - wanted())]
    sys.exit("\n".join(complaints) or 0)
