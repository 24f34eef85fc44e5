"""What a program needs to test its jobs: assertions, one job worked at a time, a clock in hand.

    require_inserted, require_many_inserted, require_not_inserted   which jobs are there
    work, work_job                                                  one attempt, and what became of it
    Harness                                                         all that is due, time in hand

With pytest, the fixtures `riverrun` and `riverrun_postgres` give a `Harness`; see `plugin.py`.
"""

from riverrun.runtime.clock import ManualClock
from riverrun.testing.assertions import (
    Expected,
    InsertedJob,
    require_inserted,
    require_many_inserted,
    require_not_inserted,
)
from riverrun.testing.harness import Harness
from riverrun.testing.inside import work_context
from riverrun.testing.properties import JobProperties
from riverrun.testing.resumable import resumable_step_after, resumable_step_at_cursor
from riverrun.testing.working import WorkResult, work, work_job

__all__ = [
    "Expected",
    "Harness",
    "InsertedJob",
    "JobProperties",
    "ManualClock",
    "WorkResult",
    "require_inserted",
    "require_many_inserted",
    "require_not_inserted",
    "resumable_step_after",
    "resumable_step_at_cursor",
    "work",
    "work_context",
    "work_job",
]
