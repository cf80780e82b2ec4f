"""
``nox``: the unit tests on each Python that is installed, and the checks. ``nox -l`` lists them;
``.ci/run`` is what a change has to pass.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["unit", "lint", "types", "documentation"]


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def unit(session: nox.Session) -> None:
    """The unit tests, with the newest dependencies."""
    session.install("-e", ".[test]")
    session.run("trial", *(session.posargs or ["rdv"]))


@nox.session
def system(session: nox.Session) -> None:
    """The system tests: real processes, sockets and networks. Minutes."""
    session.install("-e", ".[test]")
    session.run("trial", *(session.posargs or ["tests"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and which package may import which."""
    session.install("ruff", "import-linter", "-e", ".")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Types."""
    session.install("-e", ".[dev]")
    session.run("mypy", "--strict", "rdv", "tests", "benchmarks", "examples", "twisted/plugins")


@nox.session
def documentation(session: nox.Session) -> None:
    """The pages, in ``docs/_build``."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "docs", "docs/_build")
