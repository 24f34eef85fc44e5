"""A table of a million jobs, and what PostgreSQL would do with it.

900,000 have ended, 90,000 are scheduled for tomorrow, 4,000 can be claimed in 1,000 queues of four
priorities and 5,000 in one, 100 run. Indexes are made after the rows, which takes half the time.
"""

from collections.abc import Iterator
from typing import Any

import psycopg

from riverrun.drivers.statement import Statement

Connection = psycopg.Connection[tuple[Any, ...]]

_SECONDARY = """
select indexname, indexdef
from pg_indexes
where schemaname = 'public' and tablename = 'river_job' and indexname <> 'river_job_pkey'
"""
_FILL = """
insert into river_job (
    kind, args, state, queue, priority, max_attempts, scheduled_at,
    finalized_at, attempt, attempted_at, attempted_by
)
select
    'kind' || n % 20,
    '{"to": "somebody"}',
    state::river_job_state,
    case when n % 10000 >= 5000 and state = 'available' then 'long' else 'queue' || n % 1000 end,
    1 + n / 1000 % 4,
    25,
    now() + case when state = 'scheduled' then interval '1 day' else interval '-1 day' end,
    case when state = 'completed' then now() - interval '1 day' * (n / 900000.0) end,
    case when state in ('completed', 'running') then 1 else 0 end,
    case when state in ('completed', 'running') then now() - interval '1 day' end,
    case when state in ('completed', 'running') then '{me}'::text[] end
from generate_series(1, 1000000) as n
cross join lateral (
    select case
        when n <= 900000 then 'completed'
        when n <= 990000 then 'scheduled'
        when n <= 999900 then 'available'
        else 'running'
    end
) as of_job (state)
"""
# As if nobody had ever looked at the table: what CREATE INDEX has counted is forgotten too.
_FORGET = """
delete from pg_statistic where starelid = 'river_job'::regclass;
update pg_class
set reltuples = -1, relpages = 0
where oid = 'river_job'::regclass
    or oid in (select indexrelid from pg_index where indrelid = 'river_job'::regclass)
"""


def fill(connection: Connection) -> None:
    """Put a million jobs into River's tables, and keep autovacuum from counting them."""
    connection.execute("alter table river_job set (autovacuum_enabled = false)")
    indexes = connection.execute(_SECONDARY).fetchall()
    for name, _ in indexes:
        connection.execute(f"drop index {name}".encode())
    connection.execute(_FILL)
    connection.execute("set maintenance_work_mem = '256MB'")
    for _, definition in indexes:
        connection.execute(definition.encode())


def count_columns_with_statistics(connection: Connection) -> int:
    row = connection.execute("select count(*) from pg_stats where tablename = 'river_job'")
    (count,) = row.fetchone() or (0,)
    return int(count)


def analyze(connection: Connection) -> None:
    connection.execute("analyze river_job")


def forget_statistics(connection: Connection) -> None:
    """Make the table one that was never analyzed, which needs a superuser."""
    connection.execute(_FORGET)


def plan(connection: Connection, statement: Statement[Any], mode: str) -> dict[str, Any]:
    """The plan for these values (`custom`), or the one for any (`generic`).

    Drivers prepare our statements, and the server may take either for what is prepared.
    """
    cursor = psycopg.ClientCursor(connection)
    values = ", ".join(["%s"] * len(statement.params))
    with connection.transaction(force_rollback=True):
        cursor.execute(f"set local plan_cache_mode = force_{mode}_plan".encode())
        connection.execute(f"prepare pinned as {statement.sql}".encode(), prepare=False)
        explain = f"explain (format json) execute pinned{f'({values})' if values else ''}"
        cursor.execute(explain.encode(), statement.params)
        found = cursor.fetchone()
        connection.execute("deallocate pinned")
    assert found is not None
    top: dict[str, Any] = found[0][0]["Plan"]
    return top


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The plan's nodes, each before those that feed it."""
    yield plan
    for part in plan.get("Plans", []):
        yield from steps(part)


def indexes(plan: dict[str, Any]) -> set[str]:
    """The indexes of river_job that are gone by."""
    names = {str(step.get("Index Name", "")) for step in steps(plan)}
    return {name for name in names if name.startswith("river_job")}


def whole_scans(plan: dict[str, Any]) -> list[str]:
    """Scans that read all of river_job; whole indexes, without a condition, count too."""
    return [
        f"{step['Node Type']} of {step.get('Index Name', 'river_job')}"
        for step in steps(plan)
        if (step["Node Type"] == "Seq Scan" and step["Relation Name"] == "river_job")
        or (str(step.get("Index Name")).startswith("river_job") and "Index Cond" not in step)
    ]


def sorts_of_rows(plan: dict[str, Any]) -> list[str]:
    """What is sorted by, wherever all rows are sorted that come from river_job, not only a batch."""
    return [
        ", ".join(step["Sort Key"])
        for step in steps(plan)
        if "Sort Key" in step and any(_reads_jobs(part) for part in step["Plans"])
    ]


def _reads_jobs(step: dict[str, Any]) -> bool:
    """Whether rows of river_job come out of here, as many as there are."""
    if step["Node Type"] == "Limit" or step["Parent Relationship"] in {"InitPlan", "SubPlan"}:
        return False
    if step.get("Relation Name") == "river_job":
        return True
    return any(_reads_jobs(part) for part in step.get("Plans", []))
