"""Puts each known mistake back into a copy of our code, and sees to it that its test notices.

    python -m tests.mutants                     # all
    python -m tests.mutants W-01 stale_resign   # some, by weakness or by name

Exit code 1 if a mutant survives, or no longer applies to the source, or if a killer fails without one.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.running import Verdict, judge, problems_without

AT_ONCE = 2


def main(names: list[str]) -> int:
    mutants = [each for each in MUTANTS if not names or each.name in names or each.of in names]
    if not mutants:
        return say(f"no such mutant: {' '.join(names)}", code=2)
    began = perf_counter()
    if problems := problems_without(mutants):
        return say("\n".join(problems), code=1)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        verdicts = list(pool.map(judged, mutants))
    left = [each for each in verdicts if not each.is_caught]
    took = perf_counter() - began
    return say(f"{len(mutants)} mutants, {len(left)} not caught, {took:.0f} s", code=bool(left))


def judged(mutant: Mutant) -> Verdict:
    """Said as soon as it is known."""
    verdict = judge(mutant)
    said = "caught" if verdict.is_caught else "NOT CAUGHT"
    killer = mutant.killer.rpartition("::")[2]
    say(f"{mutant.of:6} {mutant.name:48} {said:10} {verdict.seconds:4.1f} s  {killer}")
    say(f"       {verdict.why}")
    return verdict


def say(text: str, *, code: int = 0) -> int:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
