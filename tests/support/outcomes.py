"""Remembers how each test of this run ended, for the test of the parity table."""

import pytest


class Outcomes:
    """A plugin: `of` gives the outcomes of all variants of a test by their full ids."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._outcomes: dict[str, str] = {}

    @property
    def is_whole_run(self) -> bool:
        """Whether every test was asked for, so that one that did not run is a defect."""
        option = self._config.option
        chosen = option.keyword or option.markexpr or option.lf or option.deselect
        return self._config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen

    def of(self, test: str) -> dict[str, str]:
        return {
            name: outcome
            for name, outcome in self._outcomes.items()
            if name == test or name.startswith(f"{test}[")
        }

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self._outcomes[report.nodeid] = report.outcome

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The tests of the table come last, when all others have ended."""
        items.sort(key=lambda item: item.nodeid.startswith("tests/test_parity.py"))


OUTCOMES = pytest.StashKey[Outcomes]()
