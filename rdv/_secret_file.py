"""
Files with secrets, one per line.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rdv.errors import RdvError

__all__ = ["lines_of", "secret_lines", "signing_keys"]

#: The maximum size of a file in bytes. A larger one is not one of ours.
_LARGEST = 1 << 24
#: The minimum size of a key in bytes.
_SHORTEST_KEY = 16


def lines_of(path: str, *, is_secret: bool = False) -> list[tuple[int, str]]:
    """
    The lines with contents, and their numbers: not empty ones, nor those that begin with ``#``.
    Blanks at the ends of a line are removed.

    :param is_secret: refuse a file that every user of this host can read.
    :raises RdvError: when it cannot be read; the text names the file, and contains nothing of it.
    """
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if is_secret and mode & stat.S_IROTH:
                raise RdvError(f"{path} contains secrets, but every user can read it: chmod o-r")
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise RdvError(f"cannot read {path}: larger than {_LARGEST >> 20} MiB")
        lines = data.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise RdvError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeError:
        raise RdvError(f"cannot read {path}: not UTF-8") from None
    except ValueError:  # a null in the name
        raise RdvError(f"not the name of a file: {path!r}") from None
    stripped = ((number, line.strip()) for number, line in enumerate(lines, 1))
    return [(number, line) for number, line in stripped if line and not line.startswith("#")]


def secret_lines(path: str) -> list[tuple[int, str]]:
    """
    The lines of a file that no other user may read, at least one.

    :raises RdvError: as :func:`lines_of`.
    """
    lines = lines_of(path, is_secret=True)
    if not lines:
        raise RdvError(f"{path} is empty")
    return lines


def signing_keys(path: str) -> list[bytes]:
    """
    The keys in a file. The first one is for signing, the others are those that it has replaced.

    :raises RdvError: as :func:`lines_of`, or when one is too short to be safe.
    """
    keys = [(number, line.encode()) for number, line in secret_lines(path)]
    for number, key in keys:
        if len(key) < _SHORTEST_KEY:
            raise RdvError(
                f"{path}, line {number}: a key needs at least {_SHORTEST_KEY} bytes (openssl rand "
                "-hex 32 generates one)"
            )
    return [key for _, key in keys]
