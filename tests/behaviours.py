"""The table of behaviours: which tests show each of B1 to B28, and whether they pass.

A pytest plugin, used by `nox -s behaviours`. A behaviour that no test carries fails the run.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

PROMISES = dict(
    re.findall(r"^\| (B\d+) \| (.+) \|$", (Path(__file__).parents[1] / "docs/behaviours.md").read_text(), re.MULTILINE)
)


class Behaviours:
    """Counts the tests of each behaviour as they run."""

    def __init__(self) -> None:
        self.of_test: dict[str, set[str]] = {}
        self.outcomes: dict[str, list[bool]] = defaultdict(list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            numbers = {number for mark in item.iter_markers("behaviour") for number in mark.args}
            unknown = numbers - PROMISES.keys()
            if unknown:
                raise pytest.UsageError(
                    f"{item.nodeid} shows {sorted(unknown)}, which docs/behaviours.md does not list"
                )
            self.of_test[item.nodeid] = numbers
        items[:] = [item for item in items if self.of_test[item.nodeid]]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed:
            for number in self.of_test[report.nodeid]:
                self.outcomes[number].append(report.outcome == "passed")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("behaviours")
        for number, promise in PROMISES.items():
            outcomes = self.outcomes[number]
            words = promise if len(promise) <= 80 else promise[:77] + "..."
            terminalreporter.line(f"{number:4}{len(outcomes):6} tests{sum(outcomes):6} passed  {words}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        missing = [number for number in PROMISES if not self.outcomes[number]]
        if missing:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            session.config.get_terminal_writer().line(f"\nno test shows {', '.join(missing)}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Behaviours(), "behaviours")
