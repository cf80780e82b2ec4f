"""Print the test command of a README: the literal block after the line ``Run the tests:``."""

import sys
from pathlib import Path
from textwrap import dedent

MARK = "Run the tests:"


def test_command(readme: str) -> str:
    """
    The command, as it stands in the literal block (or ``code-block``) that follows the mark.

    :raises ValueError: when there is no such block, or more than one mark.
    """
    lines = readme.splitlines()
    marks = [number for number, line in enumerate(lines) if line.rstrip() in (MARK, MARK + ":")]
    if len(marks) != 1:
        raise ValueError(f"README has {len(marks)} lines {MARK!r}, not one")
    rest = lines[marks[0] + 1 :]
    while rest and (not rest[0].strip() or rest[0].startswith((".. code-block::", "::"))):
        rest.pop(0)
    block: list[str] = []
    for line in rest:
        if line.strip() and not line.startswith(" "):
            break
        block.append(line)
    command = dedent("\n".join(block)).strip()
    if not command:
        raise ValueError(f"README has no literal block after {MARK!r}")
    return command


if __name__ == "__main__":
    try:
        print(test_command(Path(sys.argv[1]).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        sys.exit(str(error))
