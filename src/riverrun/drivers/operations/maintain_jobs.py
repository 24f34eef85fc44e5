"""How finished jobs go: what the maintenance asks about jobs that nobody works any more."""

import json
from collections.abc import Sequence
from datetime import datetime

import msgspec

from riverrun.drivers.operations.base import OperationGroup
from riverrun.drivers.statement import DEFAULT_TIMEOUT, Statement
from riverrun.model.job import JobState

LONGEST_AGE = 9_223_372_036.0
"""Seconds: longer ages are cut to what Go can express, 292 years, which every database can subtract."""


class RetentionRule(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of `queue` that have been `state` for more than `age` seconds may go.

    Without a queue it is about all queues that have no rules of their own.
    """

    state: JobState
    age: float
    queue: str | None = None


class JobDeletes(OperationGroup):
    """Ages are counted by the database's clock, or from `now` if it is given."""

    def delete_finalized(
        self,
        rules: Sequence[RetentionRule],
        *,
        own_queues: Sequence[str] = (),
        limit: int,
        timeout: float = DEFAULT_TIMEOUT,
        now: datetime | None = None,
    ) -> Statement[int]:
        """Delete up to `limit` jobs that a rule lets go, those of each first that ended first.

        Rules without a queue do not count for `own_queues`. The answer is how many it were.
        """
        return self._ask(
            "delete_finalized_jobs",
            len,
            timeout=timeout,
            rules=json.dumps([msgspec.to_builtins(rule) for rule in _cut(rules)]),
            states=[str(rule.state) for rule in rules],
            ages=[rule.age for rule in _cut(rules)],
            queues=[rule.queue for rule in rules],
            own_queues=self._list(list(own_queues)),
            limit=limit,
            now=now,
        )


def _cut(rules: Sequence[RetentionRule]) -> list[RetentionRule]:
    return [
        msgspec.structs.replace(rule, age=LONGEST_AGE) if rule.age > LONGEST_AGE else rule
        for rule in rules
    ]
