"""Jobs by what they have in common: listed, deleted and counted.

`list` and `delete_many` are the two statements that are no files: which conditions they hold depends
on the filters. `job_conditions.py` makes those, and says why. What is around them stands here whole.
"""

from collections.abc import Sequence
from typing import TypeAlias

from riverrun.drivers.dialect import Bound
from riverrun.drivers.operations.base import OperationGroup, Read
from riverrun.drivers.operations.job_conditions import Condition, conditions, ordering
from riverrun.drivers.rows import all_rows, job_reader
from riverrun.drivers.statement import Row, Statement
from riverrun.model.job import JobRow
from riverrun.model.job_counts import JobCountByQueueAndState
from riverrun.model.job_query import JobQuery

JobRows: TypeAlias = list[JobRow]
QueueCounts: TypeAlias = list[JobCountByQueueAndState]


class JobLists(OperationGroup):
    """Rows that cannot be decoded come with the others; reading what is wrong in them raises."""

    def list(self, query: JobQuery, *, limit: int) -> Statement[JobRows]:
        """The first `limit` jobs of the query, in its order."""
        pieces = [
            "select /*job*/ *\nfrom /*schema*/river_job\n",
            *_where(conditions(query, self._dialect)),
            f"order by {ordering(query.order, self._dialect)}\nlimit ",
            Bound(limit),
        ]
        return self._built("list_jobs", pieces, all_rows(job_reader(self._dialect)))

    def delete_many(self, query: JobQuery, *, limit: int) -> Statement[JobRows]:
        """Delete the first `limit` jobs of the query that do not run; what they were, by id.

        Those that somebody else is changing right now are passed over. The order is by id.
        """
        pieces = [
            "delete from /*schema*/river_job\nwhere id ",
            *self._first_ids(query, limit),
            "\nreturning /*job*/ *",
        ]
        return self._built("delete_jobs", pieces, self._by_id)

    def count_by_queue(self, queues: Sequence[str]) -> Statement[QueueCounts]:
        """How many jobs are available and running in each of `queues`, by name, zeros included."""
        return self._ask("count_jobs_by_queue", _read_counts, queues=self._list(queues))

    def _first_ids(self, query: JobQuery, limit: int) -> Condition:
        """The array on PostgreSQL makes sure that rows are chosen and locked once, and no others."""
        chosen: Condition = [
            "    select river_job.id\n    from /*schema*/river_job\n",
            *_where([*conditions(query, self._dialect), ["river_job.state <> 'running'"]]),
            "    order by river_job.id\n    limit ",
            Bound(limit),
        ]
        if self._dialect.is_postgres:
            return ["= any(array(\n", *chosen, "\n    for update skip locked\n))"]
        return ["in (\n", *chosen, "\n)"]

    def _built(self, name: str, pieces: Condition, read: Read[JobRows]) -> Statement[JobRows]:
        sql, params = self._dialect.build(pieces)
        return Statement(name, sql, params, read)

    @property
    def _by_id(self) -> Read[JobRows]:
        read_job = job_reader(self._dialect)
        return lambda rows: sorted([read_job(row) for row in rows], key=lambda job: job.id)


def _where(every: Sequence[Condition]) -> Condition:
    clause: Condition = []
    for condition in every:
        clause += ["    and " if clause else "where ", *condition, "\n"]
    return clause


def _read_counts(rows: Sequence[Row]) -> QueueCounts:
    return [
        JobCountByQueueAndState(queue=queue, count_available=available, count_running=running)
        for queue, available, running in rows
    ]
