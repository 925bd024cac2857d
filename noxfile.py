"""Every check of the project: `nox` runs the tests, `nox --list` shows the rest."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.10"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]


def _install(session: nox.Session, *groups: str) -> None:
    needed = [need for group in groups for need in nox.project.dependency_groups(PYPROJECT, group)]
    session.install("-e", ".[cli,http2]", *needed)


def _pytest(session: nox.Session) -> None:
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, on every core. Arguments go to pytest."""
    _install(session, "test")
    _pytest(session)


@nox.session
def coverage(session: nox.Session) -> None:
    """The tests again, with branch coverage."""
    _install(session, "test")
    # Not by pytest-cov: the plugin of the package is loaded, and the package with it, before that begins to measure.
    session.run("coverage", "run", "-m", "pytest", "-q", *session.posargs)
    session.run("coverage", "report")


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """The tests on every interpreter that this machine has."""
    _install(session, "test")
    _pytest(session)


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests with the lowest versions that pyproject.toml allows."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    allowed = [*project["dependencies"], *extras["cli"], *extras["http2"]]
    allowed += nox.project.dependency_groups(PYPROJECT, "test")
    bounds = dict(need.split(">=") for need in allowed)  # of one that is named twice the last
    session.install("-e", ".[cli,http2]", *(f"{name}=={bound.split(',')[0]}" for name, bound in bounds.items()))
    _pytest(session)


@nox.session
def python_backoff(session: nox.Session) -> None:
    """The tests with python-backoff, the living fork of backoff; both install the module `backoff`."""
    _install(session, "test")
    session.run("pip", "uninstall", "--yes", "--quiet", "backoff")
    session.install("--force-reinstall", "--no-deps", "python-backoff")
    _pytest(session)


@nox.session
def behaviours(session: nox.Session) -> None:
    """The table of behaviours B1 to B28, with the tests that show each; fails when one has none."""
    _install(session, "test")
    session.run("python", "-m", "pytest", "-q", "-p", "tests.behaviours", *session.posargs)


@nox.session
def simulation(session: nox.Session) -> None:
    """The long simulation: `nox -s simulation -- --operations 1000000`."""
    _install(session, "test")
    session.run("python", "-m", "tests.simulation", *(session.posargs or ["--operations", "100000"]))


@nox.session
def fuzz(session: nox.Session) -> None:
    """The long session of the fuzzer: a million inputs, or `nox -s fuzz -- --inputs N --seed S`."""
    _install(session, "test")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """How fast, how small, how late, beside peers: all of it, or `nox -s bench -- NAME`; `--quick` to try it."""
    _install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, and the contracts on who may import whom."""
    _install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")


@nox.session
def typing(session: nox.Session) -> None:
    """Mypy over everything, and pyright over the package and how its users annotate."""
    _install(session, "typing")
    session.run("mypy")
    session.run("pyright")


@nox.session
def wheel(session: nox.Session) -> None:
    """The demonstration and a wait, from the built wheel alone."""
    session.install("build")
    out = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "build", "--outdir", str(out), silent=True)
    session.run("pip", "uninstall", "--yes", "--quiet", "build")
    session.install(*map(str, out.glob("*.whl")))
    session.run("lro-poller", "demo", "--operations", "50")
    shutil.rmtree(out)
