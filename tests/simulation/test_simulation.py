"""Some hundred random runs, with every invariant looked at after every step; `make simulate` has more.

What a run is says plan.py, what must hold invariants.py. `python -m tests.simulation.run --seed N`
runs a failing one again, step by step as it was.
"""

import functools
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation import rules
from tests.simulation.faults import Do
from tests.simulation.plan import ROUNDS, STARTS, Rule, draw_plan
from tests.simulation.rules import Rules, run_plan
from tests.simulation.run import execute, main, run_seed, shrink
from tests.simulation.world import World, run_world

SEEDS = 150
AT_ONCE = 25
run_once = functools.cache(run_seed)
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """Thousands of records that nobody reads."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_no_run_breaks_an_invariant(first: int) -> None:
    outcomes = [run_once(seed) for seed in range(first, first + AT_ONCE)]
    assert not {each.seed: each.error for each in outcomes if each.error is not None}


@pytest.mark.timeout(300)
def test_everything_that_may_go_wrong_goes_wrong_in_these_runs() -> None:
    """What is drawn, and that the faults among it really befall somebody."""
    rules = [rule for seed in range(SEEDS) for rule in draw_plan(seed).rules]
    drawn = Counter(rule.do for rule in rules)
    assert drawn.keys() == {name for name in vars(Rules) if name[0] != "_"} - {"apply"}
    assert min(drawn.values()) >= 10
    assert {rule.args[1] for rule in rules if rule.do == "set_hook"} > {*STARTS}
    assert {rule.args[1] for rule in rules if rule.do == "set_prepare"} > {*STARTS}
    assert {rule.args[1] for rule in rules if rule.do == "set_rounds"} > {*ROUNDS}
    happened = sum((run_once(seed).happened for seed in range(SEEDS)), Counter[str]())
    assert {do.name for do in Do} <= happened.keys()


def test_a_seed_gives_the_same_run_each_time() -> None:
    def trace(seed: int) -> list[str]:
        seen: list[str] = []

        async def scenario(world: World) -> None:
            world.loop.after_step.append(lambda: seen.append(f"{world.loop.steps} {world.now!r}"))
            await run_plan(world, draw_plan(seed))
            seen.extend(map(repr, world.server.log))

        run_world(scenario, seed=seed)
        return seen

    first = trace(3)
    assert len(first) > 500
    assert trace(3) == first
    assert trace(4) != first


@pytest.mark.timeout(120)
def test_a_seed_gives_the_same_run_in_every_process() -> None:
    """Whatever the order of the strings in a set there."""
    code = (
        "from tests.simulation.run import run_seed; print([run_seed(s).trace for s in (3, 8, 11)])"
    )
    here = str([run_seed(seed).trace for seed in (3, 8, 11)])
    for hashes in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-c", f"import logging; logging.disable(50); {code}"],
            env={**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == here


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client stops fast enough."""
    monkeypatch.setattr(rules, "LONGEST_STOP", 0.0)


@pytest.mark.usefixtures("_impatient")
def test_a_seed_that_fails_is_told_and_fails_again_in_the_same_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--seeds", "1", "--first", "5", "--processes", "1"]) == 1
    told = capsys.readouterr().out
    assert main(["--seed", "5"]) == 1
    again = capsys.readouterr().out
    error = told.splitlines()[0].removeprefix("seed 5: ")
    assert "s to stop" in error
    assert error in again


@pytest.mark.usefixtures("_impatient")
def test_a_run_that_fails_is_made_small() -> None:
    plan = draw_plan(23)
    assert len(plan.rules) > 1
    assert shrink(plan).rules == ()
    needed = Rule(1.0, "stop", (plan.clients[0]["name"],))
    assert execute(replace(plan, rules=(needed,))).error is not None
