"""Runs many seeds of the simulation: `python -m tests.simulation.run --seeds 10000`.

Prints the seeds that fail; `--seed N` runs one again, exactly as it was, with its log, and `--shrink`
leaves out of it whatever it takes not to fail.
"""

import argparse
import asyncio
import logging
import multiprocessing
import os
import sys
import time
import traceback
from dataclasses import replace

from tests.simulation.loop import OWNER
from tests.simulation.rules import Plan, draw_plan, run_plan
from tests.simulation.world import World, run_world


def fails(plan: Plan) -> str | None:
    """What is wrong with a run; None if nothing is."""

    async def scenario(world: World) -> None:
        try:
            await run_plan(world, plan)
        except Exception as error:
            raise type(error)(f"{error} (at {world.now:.3f} s)") from error

    try:
        run_world(scenario, seed=plan.seed)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} [{place.name}:{place.lineno}]"
    return None


def run_seed(seed: int) -> tuple[int, str | None]:
    return seed, fails(draw_plan(seed))


def shrink(plan: Plan) -> Plan:
    """The same run without what it needs not to fail in the same way."""
    kind = (fails(plan) or "").split(":")[0]
    index = len(plan.rules) - 1
    while index >= 0:
        rules = plan.rules[:index] + plan.rules[index + 1 :]
        smaller = replace(plan, rules=rules)
        if (fails(smaller) or "").split(":")[0] == kind:
            plan = smaller
        index -= 1
    return plan


def run_many(seeds: range, processes: int) -> list[tuple[int, str]]:
    failures: list[tuple[int, str]] = []
    with multiprocessing.Pool(processes) as pool:
        for seed, error in pool.imap_unordered(run_seed, seeds, chunksize=8):
            if error is not None:
                failures.append((seed, error))
                print(f"seed {seed}: {error}", flush=True)  # noqa: T201
    return failures


def run_one(seed: int, *, small: bool) -> int:
    plan = draw_plan(seed)
    if small:
        logging.disable(logging.CRITICAL)
        plan = shrink(plan)
        logging.disable(logging.NOTSET)
    logging.basicConfig(level=logging.DEBUG, handlers=[_handler()])
    error = fails(plan)
    print(plan)  # noqa: T201
    print(error or "nothing is wrong")  # noqa: T201
    return 1 if error else 0


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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one, with its log")
    parser.add_argument("--shrink", action="store_true", help="make that one small first")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.seed is not None:
        return run_one(options.seed, small=options.shrink)
    logging.disable(logging.CRITICAL)
    began = time.perf_counter()
    failures = run_many(range(options.first, options.first + options.seeds), options.processes)
    took = time.perf_counter() - began
    print(  # noqa: T201
        f"{options.seeds} runs in {took:.1f} s, {options.seeds / took:.1f} a second, {len(failures)} failed"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
