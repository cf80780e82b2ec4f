"""
``check_wheel.py WHEEL CHECKOUT``: the wheel contains every file of the package and nothing else.

The packages are listed by hand in setup.py, where one could be forgotten.
"""

import sys
import zipfile
from pathlib import Path


def differences(wheel: Path, checkout: Path) -> list[str]:
    """One line for each file that is missing or superfluous."""
    sources = [
        *checkout.glob("rdv/**/*.py"),
        *checkout.glob("rdv/**/*.html"),
        *checkout.glob("twisted/plugins/*.py"),
        checkout / "rdv/py.typed",
    ]
    wanted = {path.relative_to(checkout).as_posix() for path in sources}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    missing = [f"missing from the wheel: {name}" for name in sorted(wanted - held)]
    return missing + [f"should not be in the wheel: {name}" for name in sorted(held - wanted)]


if __name__ == "__main__":
    found = differences(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.exit("\n".join(found) or 0)
