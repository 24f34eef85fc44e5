"""Runs many seeds of the simulation, or one again.

    python -m tests.simulation.run --seeds 10000              # says which fail, and how
    python -m tests.simulation.run --seeds 100 --first 5000   # seeds 5000 to 5099
    python -m tests.simulation.run --seed 5017                # that one again, step by step, with its log
    python -m tests.simulation.run --seed 5017 --shrink       # without the rules that it needs not to fail

tests/simulation/__init__.py says how it all works, and how to add to it.
"""

import argparse
import asyncio
import logging
import multiprocessing
import os
import struct
import sys
import time
import traceback
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace

from tests.simulation.loop import OWNER
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.rules import run_plan
from tests.simulation.world import World, run_world

LONGEST = 5000.0
"""Seconds of virtual time for a run; the longest that are well take a fifth."""
_as_bytes = struct.Struct("<d").pack


@dataclass
class Outcome:
    """What came of one run; `error` is None if nothing is wrong. `trace` is the same for the same run."""

    seed: int
    error: str | None = None
    steps: int = 0
    seconds: float = 0.0
    trace: int = 0
    happened: Counter[str] = field(default_factory=Counter)


def execute(plan: Plan) -> Outcome:
    outcome = Outcome(plan.seed)

    async def scenario(world: World) -> None:
        world.loop.after_step.append(lambda: _note(outcome, world))
        try:
            async with asyncio.timeout(LONGEST):
                outcome.happened = await run_plan(world, plan)
        except Exception as error:
            raise type(error)(f"{error} (at {world.now:.3f} s)") from error

    try:
        run_world(scenario, seed=plan.seed)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        place = traceback.extract_tb(error.__traceback__)[-1]
        outcome.error = f"{type(error).__name__}: {error} [{place.name}:{place.lineno}]"
    return outcome


def _note(outcome: Outcome, world: World) -> None:
    """Whose step it was, and when: other orders differ in that before long."""
    loop = world.loop
    outcome.steps, outcome.seconds = loop.steps, loop.time()
    outcome.trace = zlib.crc32(_as_bytes(loop.time()), outcome.trace)
    if loop.acting is not None:
        outcome.trace = zlib.crc32(loop.acting.encode(), outcome.trace)


def run_seed(seed: int) -> Outcome:
    return execute(draw_plan(seed))


def shrink(plan: Plan) -> Plan:
    """The same run without what it needs not to fail in the same way."""
    kind = _kind(plan)
    index = len(plan.rules) - 1
    while index >= 0:
        rules = plan.rules[:index] + plan.rules[index + 1 :]
        smaller = replace(plan, rules=rules)
        if _kind(smaller) == kind:
            plan = smaller
        index -= 1
    return plan


def _kind(plan: Plan) -> str:
    """What is wrong, without the times."""
    error = execute(plan).error or ""
    which = error.partition("I-")[2].partition(":")[0]
    return f"{error.partition(':')[0]} {which}"


def run_many(seeds: range, processes: int) -> list[Outcome]:
    """All of them; those that fail are told at once."""
    if processes == 1:
        return [_told(run_seed(seed)) for seed in seeds]
    with multiprocessing.Pool(processes) as pool:
        return [_told(outcome) for outcome in pool.imap_unordered(run_seed, seeds, chunksize=4)]


def _told(outcome: Outcome) -> Outcome:
    if outcome.error is not None:
        print(f"seed {outcome.seed}: {outcome.error}", flush=True)  # noqa: T201
    return outcome


def run_one(seed: int, *, small: bool) -> int:
    plan = draw_plan(seed)
    if small:
        logging.disable(logging.CRITICAL)
        plan = shrink(plan)
        logging.disable(logging.NOTSET)
    logging.basicConfig(level=logging.DEBUG, handlers=[_handler()])
    outcome = execute(plan)
    print(plan)  # noqa: T201
    print(f"{outcome.steps} steps, {outcome.seconds:.3f} s, trace {outcome.trace:08x}")  # noqa: T201
    print(outcome.error or "nothing is wrong")  # noqa: T201
    return 1 if outcome.error else 0


class _VirtualTime(logging.Formatter):
    """Each record in one line, with the time of the simulation and whose it is."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            now = asyncio.get_running_loop().time()
        except RuntimeError:
            now = 0.0
        return f"{now:9.3f} {OWNER.get() or '-'} {record.getMessage()}"


def _handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_VirtualTime())
    return handler


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one, with its log")
    parser.add_argument("--shrink", action="store_true", help="make that one small first")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(args)
    if options.seed is not None:
        return run_one(options.seed, small=options.shrink)
    logging.disable(logging.CRITICAL)
    began = time.perf_counter()
    seeds = range(options.first, options.first + options.seeds)
    outcomes = run_many(seeds, options.processes)
    took = time.perf_counter() - began
    hours = sum(outcome.seconds for outcome in outcomes) / 3600
    failed = sum(outcome.error is not None for outcome in outcomes)
    print(  # noqa: T201
        f"{len(outcomes)} runs, {hours:.1f} hours of virtual time, "
        f"in {took:.1f} s ({100 * took / len(outcomes):.1f} s for 100), {failed} failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
