"""Every mutant still fits the source, and names a scenario that exists; `make mutants` runs them."""

import re

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import ROOT, SCENARIO, SOURCE, Change, Mutant, NoLongerAppliesError
from tests.mutants.running import run_tests

WEAKNESSES = {f"W-{number:02}" for number in range(1, 26)}
FOUNDING = {"seed", *(f"seed-{number}" for number in range(1, 7))}
HISTORY = {"#134", "#197", "#199", "#216", "#286", "#1205", "#1213", "#1488"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_it_fits_the_source_and_compiles(mutant: Mutant) -> None:
    for path, text in mutant.texts().items():
        assert text != path.read_text("utf-8")
        if path.suffix == ".py":
            compile(text, str(path), "exec")


def test_text_that_is_not_there_exactly_once_is_an_error() -> None:
    change = Change("runtime/elector.py", "wake()", "sleep()")
    assert change.apply("a.wake()") == "a.sleep()"
    for text in ("", "a.wake() b.wake()"):
        with pytest.raises(NoLongerAppliesError, match=r"has this . times"):
            change.apply(text)


def test_every_weakness_and_every_bug_of_old_has_a_mutant() -> None:
    assert {mutant.of for mutant in MUTANTS} == WEAKNESSES | FOUNDING | HISTORY


def test_no_two_have_one_name() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert sorted(set(names)) == sorted(names)


def test_every_killer_is_a_scenario() -> None:
    for killer in (mutant.killer for mutant in MUTANTS):
        file, _, name = killer.partition("::")
        assert SCENARIO.search(killer), killer
        function = re.escape(name.partition("[")[0])
        assert re.search(rf"def {function}\(", (ROOT / file).read_text("utf-8")), killer


def test_every_killer_is_found_by_its_id() -> None:
    killers = {mutant.killer for mutant in MUTANTS}
    code, output = run_tests(SOURCE, "--collect-only", *killers)
    assert code == 0, output[-2000:]
    assert killers <= set(output.splitlines())
