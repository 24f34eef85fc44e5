"""Remembers how each test of this run ended, for the test of the parity table.

Where tests run side by side, none of the processes knows how those of the others ended. Then the run
as a whole leaves its outcomes in the file that `RIVERRUN_TEST_OUTCOMES` names, and the test of the
table is a run of its own, which finds them there.
"""

import os
from pathlib import Path

import msgspec
import pytest

FILE = "RIVERRUN_TEST_OUTCOMES"


class Ended(msgspec.Struct):
    """How the tests of a run ended; `whole` says that every test was asked for."""

    whole: bool
    outcomes: dict[str, str]


class Outcomes:
    """A plugin: `of` gives the outcomes of all variants of a test by their full ids."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._file = Path(os.environ[FILE]) if FILE in os.environ else None
        self._outcomes: dict[str, str] = {}

    @property
    def is_whole_run(self) -> bool:
        """Whether every test was asked for, so that one that did not run is a defect."""
        option = self._config.option
        chosen = option.keyword or option.markexpr or option.lf or option.deselect
        return self._config.args_source is pytest.Config.ArgsSource.TESTPATHS and not chosen

    def ended(self) -> Ended:
        """Of this run, or of the one before that left its outcomes."""
        if self._file is not None and self._file.exists():
            return msgspec.json.decode(self._file.read_bytes(), type=Ended)
        return Ended(self.is_whole_run, self._outcomes)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self._outcomes[report.nodeid] = report.outcome

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        """Left by the process that has heard of all the others, not by one of those."""
        several = bool(self._config.getoption("numprocesses", None))
        if self._file is not None and several and not hasattr(self._config, "workerinput"):
            self._file.write_bytes(msgspec.json.encode(Ended(self.is_whole_run, self._outcomes)))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The tests of the table come last, when all others have ended."""
        items.sort(key=lambda item: item.nodeid.startswith("tests/test_parity.py"))


OUTCOMES = pytest.StashKey[Outcomes]()
