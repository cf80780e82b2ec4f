"""Sphinx settings. ``sphinx-build -W docs docs/_build`` builds the pages."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rdv import __version__

project = "rdv"
author = "the rdv authors"
copyright = f"2026, {author}"
version = release = __version__

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
default_role = "any"
highlight_language = "text"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Where a default is an object, its name in the source says more than its repr.
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = "rdv"


def shorten_interfaces(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Show an interface by its name: ``IProtocol``, not ``<InterfaceClass ...IProtocol>``."""

    def short(text: str | None) -> str | None:
        return text and re.sub(r"<InterfaceClass (?:\w+\.)*(\w+)>", r"\1", text)

    return short(signature), short(returns)


def skip_interface_methods(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out methods of which there is no more to say than the interface they come from."""
    docstring = getattr(obj, "__doc__", None) or ""
    return True if re.match(r"\s*See :class:`\w+`\.\s*$", docstring) else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", shorten_interfaces)
    app.connect("autodoc-skip-member", skip_interface_methods)
