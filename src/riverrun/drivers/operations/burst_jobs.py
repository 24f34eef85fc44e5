"""How jobs are worked in bursts: claimed by their locks alone, and written once, when they have ended.

Both statements belong in one transaction, between which the jobs are worked: what was locked cannot
change meanwhile, and if the transaction is never committed, nothing has happened to it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from riverrun.drivers.operations.work_jobs import TIMEOUT, JobWork
from riverrun.drivers.statement import Row, Statement
from riverrun.model.job import JobRow


class JobBursts(JobWork):
    """On PostgreSQL only: SQLite locks no rows."""

    def lock_available(
        self,
        queue: str,
        *,
        limit: int,
        client_id: str,
        kinds: Sequence[str] | None = None,
        now: datetime | None = None,
    ) -> Statement[list[JobRow]]:
        """Lock what `fetch` would claim; the rows as `settle` will write them, if they run on."""
        return self._ask(
            "lock_available_jobs",
            self._most_urgent_first,
            timeout=TIMEOUT,
            queue=queue,
            limit=limit,
            client_id=client_id,
            kinds=kinds,
            now=now,
        )

    def settle(
        self,
        ids: Sequence[int],
        running_ids: Sequence[int],
        *,
        attempted_at: datetime,
        client_id: str,
        tell: bool = True,
        now: datetime | None = None,
    ) -> Statement[datetime | None]:
        """Write of the locked jobs `ids` that they are completed, but for those that still run.

        The answer is when they were completed; None without `tell`, which spares a row for each.
        """
        statement = self._ask(
            "settle_locked_jobs",
            _first_time,
            timeout=TIMEOUT,
            ids=ids,
            running_ids=running_ids,
            attempted_at=attempted_at,
            client_id=client_id,
            now=now,
        )
        return statement if tell else replace(statement, sql=statement.sql.removesuffix(_TELL))


_TELL = "returning finalized_at"


def _first_time(rows: Sequence[Row]) -> datetime | None:
    return next((row[0] for row in rows if row[0] is not None), None)
