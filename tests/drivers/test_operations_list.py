"""Jobs are found, deleted and counted by filters: each filter, on both databases and each driver."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from riverrun.drivers.migrator import migrate_up_all
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Connection, Database, Statement
from riverrun.drivers.url import open_database
from riverrun.model.errors import PayloadError
from riverrun.model.job import JobRow, JobState
from riverrun.model.job_counts import JobCountByQueueAndState
from riverrun.model.job_query import job_query
from tests.support.operations import NOW, a_job, change, claim, insert, insert_all, later, select

COMPLETE_A_FEW = """
update river_job set state = 'completed', finalized_at = '2026-08-05 12:00:00.000' where id % 100 = 0
"""


async def listed(db: Database | Connection, *, limit: int = 100, **filters: Any) -> list[JobRow]:
    return await db.run(Operations(db.dialect).jobs.list(job_query(**filters), limit=limit))


async def ids_of(db: Database | Connection, **filters: Any) -> list[int]:
    return [job.id for job in await listed(db, **filters)]


async def deleted(db: Database, *, limit: int = 100, **filters: Any) -> list[int]:
    query = job_query(**filters)
    jobs = await db.run(Operations(db.dialect).jobs.delete_many(query, limit=limit))
    return [job.id for job in jobs]


async def ended(db: Database, job: JobRow, state: str, seconds: float) -> JobRow:
    at = later(seconds).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    zone = "+00" if db.dialect.is_postgres else ""
    return await change(db, job, f"state = '{state}', finalized_at = '{at}{zone}'")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"ids": [4, 1, 404]}, [1, 4]),
        ({"ids": [2]}, [2]),
        ({"kinds": ["a<b>", "x·y"]}, [1, 2]),
        ({"kinds": ["a<b>"]}, [1]),
        ({"priorities": [1, 4]}, [1, 3, 4]),
        ({"priorities": [4]}, [4]),
        ({"queues": ["mail", "o'brien"]}, [2, 3]),
        ({"queues": ["o'brien"]}, [3]),
        ({"states": ["pending", "available"]}, [1, 2, 4]),
        ({"states": ["pending"]}, [4]),
        ({"states": ["scheduled"], "priorities": [1]}, [3]),
        ({"tags_all": ["one", "two"]}, [2]),
        ({"tags_any": ["one", "three"]}, [1, 2, 3]),
        ({"tags_any": ["one", "three"], "tags_all": ["two"]}, [2]),
        ({"tags_all": ["ONE"]}, []),
        ({"metadata": {"m": 1}}, [1]),
        ({"metadata": '{"m": 1.0}', "tags_all": ["two"]}, []),
        ({"where": "priority > 1"}, [2, 4]),
        ({"where": ("priority > @least and kind <> '@least'", {"least": 2})}, [4]),
        ({"where": "priority = 1 or priority = 2 -- both", "queues": ["mail"]}, [2]),
        ({"where": [("priority > @n", {"n": 1}), ("id < @m", {"m": 3})]}, [2]),
        ({"where": "kind like 'a%' and ':kind' = ':kind'"}, [1]),
    ],
)
async def test_each_filter_and_several_together(
    db: Database, filters: dict[str, Any], expected: list[int]
) -> None:
    """Trap: text is bound on every driver, `pending` is among the default states."""
    await insert_all(
        db,
        a_job(kind="a<b>", tags=("one",), encoded_metadata='{"m": 1, "n": null}'),
        a_job(kind="x·y", queue="mail", priority=2, tags=("one", "two")),
        a_job(queue="o'brien", tags=("three",), state=JobState.SCHEDULED),
        a_job(priority=4, state=JobState.PENDING),
    )
    assert await ids_of(db, **filters) == expected


FRAGMENTS = [
    ({}, True),
    ({"a": 1}, True),
    ({"a": 1.0}, True),
    ({"a": "1"}, False),
    ({"a": True}, False),
    ({"missing": None}, False),
    ({"none": None}, True),
    ({"none": False}, False),
    ({"yes": True, "no": False}, True),
    ({"yes": 1}, False),
    ({"half": 0.5}, True),
    ({"big": 9007199254740993}, True),
    ({"big": 9007199254740992}, False),
    ({"text": 'it\'s "x" ?1 %s :n'}, True),
    ({"a.b": "dot"}, True),
    ({"deep": {"x": {"y": 1}}}, True),
    ({"deep": {}}, True),
    ({"deep": {"x": {"z": 1}}}, False),
    ({"deep": {"y": 1}}, False),
    ({"deep": []}, False),
    ({"list": [2]}, True),
    ({"list": [3, 1, 1]}, True),
    ({"list": []}, True),
    ({"list": {}}, False),
    ({"list": 1}, False),
    ({"list": [[1]]}, False),
    ({"list": [[4, 5], {"k": "v"}]}, True),
    ({"list": [{"k": "w"}]}, False),
    ({"ü": "é"}, True),
]
METADATA = {
    "a": 1,
    "none": None,
    "yes": True,
    "no": False,
    "half": 0.5,
    "big": 9007199254740993,
    "text": 'it\'s "x" ?1 %s :n',
    "a.b": "dot",
    "deep": {"x": {"y": 1, "z": 2}},
    "list": [1, 2, 3, [4, 5, 6], {"k": "v", "l": 0}],
    "ü": "é",
}


@pytest.mark.parametrize(("fragment", "contained"), FRAGMENTS)
async def test_metadata_contains_what_postgresql_says_it_contains(
    db: Database, fragment: dict[str, Any], contained: bool
) -> None:
    """River refuses this filter on SQLite; here one table of examples holds for both."""
    await insert(db, a_job(encoded_metadata=json.dumps(METADATA)))
    assert bool(await ids_of(db, metadata=fragment)) is contained


@pytest.mark.parametrize("descending", [False, True])
async def test_each_order_has_its_column_and_ids_decide_between_equals(
    db: Database, descending: bool
) -> None:
    jobs = [
        one.row
        for one in await insert_all(
            db, *[a_job(scheduled_at=later(second)) for second in (3, 2, 2, 1)]
        )
    ]
    for job, second in zip(jobs, (5, 7, 6, 6), strict=True):
        await ended(db, job, "completed", second)
    expected = {
        "id": [1, 2, 3, 4],
        "scheduled_at": [4, 2, 3, 1],
        "finalized_at": [1, 3, 4, 2],
        "time": [4, 2, 3, 1],
    }
    for order_by, ids in expected.items():
        found = await ids_of(db, order_by=order_by, descending=descending)
        assert found == (ids[::-1] if descending else ids), order_by


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("first", ["completed", "running", "available"])
async def test_pages_go_on_from_any_row_with_a_value_or_without(
    db: Database, first: str, descending: bool
) -> None:
    """Trap: only the first state chooses the column, so rows of other states may lack it."""
    jobs = [one.row for one in await insert_all(db, *[a_job(scheduled_at=later(9))] * 6)]
    for job, second in zip(jobs[:3], (2, 1, 2), strict=True):
        await ended(db, job, "completed", second)
    await change(db, jobs[3], "state = 'running', attempted_at = scheduled_at")
    filters = {
        "states": list(dict.fromkeys([first, "completed", "running", "available"])),
        "order_by": "time",
        "descending": descending,
    }
    expected = {
        "completed": [2, 1, 3, 4, 5, 6],
        "running": [4, 1, 2, 3, 5, 6],
        "available": [1, 2, 3, 4, 5, 6],
    }[first]
    expected = expected[::-1] if descending else expected
    assert await ids_of(db, **filters) == expected
    query = job_query(**filters)
    for number, job in enumerate(await listed(db, **filters)):
        for after in (str(query.cursor_of(job)), job):
            assert await ids_of(db, **filters, after=after) == expected[number + 1 :]


@pytest.mark.parametrize("order_by", ["id", "scheduled_at", "finalized_at", "time"])
@pytest.mark.parametrize("descending", [False, True])
async def test_pages_of_one_are_the_whole_list(
    db: Database, order_by: Any, descending: bool
) -> None:
    jobs = [one.row for one in await insert_all(db, *[a_job(kind="a<·>b")] * 4)]
    for job, second in zip(jobs, (0.001, 0, 0.001, 0.002), strict=True):
        await ended(db, job, "discarded", second)
    filters = {"order_by": order_by, "descending": descending, "states": ["discarded"]}
    query, pages = job_query(**filters), list[int]()
    while page := await db.run(Operations(db.dialect).jobs.list(query, limit=1)):
        pages += [job.id for job in page]
        query = job_query(**filters, after=str(query.cursor_of(page[0])))
    assert pages == await ids_of(db, **filters)
    assert sorted(pages) == [1, 2, 3, 4]


async def plan(db: Database, statement: Statement[Any], limit: str = "") -> str:
    command = "explain" if db.dialect.is_postgres else "explain query plan"
    asked = Statement("explain", f"{command} {statement.sql}", statement.params, list)
    return "\n".join(str(row[-1]) for row in await db.run(asked))


@pytest.mark.parametrize("after", [False, True])
async def test_one_ended_state_by_time_goes_by_rivers_index(db: Database, after: bool) -> None:
    """Trap: `state = X and finalized_at is not null`, not a list of one (River #1374)."""
    await insert_all(db, *[a_job() for _ in range(4000)])
    await select(db, COMPLETE_A_FEW)
    await select(db, "analyze river_job")
    (job, *_) = await listed(db, ids=[1])
    filters: dict[str, Any] = {"states": ["completed"], "order_by": "finalized_at"}
    query = job_query(**filters, descending=True, after=job if after else None)
    steps = await plan(db, Operations(db.dialect).jobs.list(query, limit=10))
    assert "river_job_state_and_finalized_at_index" in steps


async def test_a_kind_goes_by_its_index_and_a_list_by_id_by_the_primary_key(db: Database) -> None:
    await insert_all(db, *[a_job(kind=f"kind{n % 500}") for n in range(5000)])
    await select(db, "analyze river_job")
    jobs = Operations(db.dialect).jobs
    assert "river_job_kind" in await plan(db, jobs.list(job_query(kinds=["kind7"]), limit=10))
    steps = await plan(
        db, jobs.list(job_query(after="eyJpZCI6NDAwMCwic29ydF9maWVsZCI6ImlkIn0="), limit=10)
    )
    assert "Sort" not in steps
    assert "TEMP B-TREE" not in steps


async def test_rows_that_cannot_be_decoded_are_listed_and_deleted(db: Database) -> None:
    odd = await insert(db)
    rubbish = "metadata = '[1]'" if db.dialect.is_postgres else "metadata = 'rubbish{', tags = 'x'"
    await change(db, odd, rubbish)
    (job,) = await listed(db)
    with pytest.raises(PayloadError):
        job.check_decodable()
    assert await ids_of(db, metadata={"m": 1}, tags_all=["abc"], tags_any=["abc"]) == []
    assert await deleted(db, ids=[odd.id]) == [odd.id]


async def test_jobs_are_deleted_lowest_ids_first_and_returned(db: Database) -> None:
    await insert_all(db, *[a_job(kind=kind) for kind in ("a", "b", "a", "a", "a")])
    assert await deleted(db, kinds=["a"], limit=3) == [1, 3, 4]
    assert await ids_of(db) == [2, 5]
    assert await deleted(db) == [2, 5]


async def test_running_jobs_are_never_deleted(db: Database) -> None:
    running = await claim(db)
    waiting = await insert(db)
    assert await deleted(db) == [waiting.id]
    assert await deleted(db, ids=[running.id], states=["running"]) == []


async def test_jobs_that_somebody_else_holds_are_not_deleted(postgres_database_url: str) -> None:
    db = open_database(postgres_database_url)
    await db.open()
    locked, free = await insert_all(db, a_job(), a_job())
    other = await asyncpg.connect(postgres_database_url)
    async with other.transaction():
        await other.execute(f"select from river_job where id = {locked.row.id} for update")
        assert await deleted(db, limit=1) == [free.row.id]
    await other.close()
    await db.close()


async def test_available_and_running_jobs_are_counted_by_queue(db: Database) -> None:
    """Trap: zeros for queues without jobs, each queue once."""
    jobs = Operations(db.dialect).jobs
    await claim(db, a_job())
    await insert_all(db, a_job(), a_job(scheduled_at=later(99)), a_job(queue="mail"))
    await insert_all(db, a_job(queue="mail", state=JobState.PENDING))
    counts = await db.run(jobs.count_by_queue(["none", "mail", "default", "mail"]))
    assert counts == [
        JobCountByQueueAndState(queue="default", count_available=2, count_running=1),
        JobCountByQueueAndState(queue="mail", count_available=1, count_running=0),
        JobCountByQueueAndState(queue="none", count_available=0, count_running=0),
    ]
    assert await db.run(jobs.count_by_queue([])) == []


async def test_an_output_takes_the_place_of_the_old_one_and_of_nothing_else(db: Database) -> None:
    """Trap: a merge patch on SQLite would mix two objects, and delete the key for null."""
    jobs = Operations(db.dialect).jobs
    job = await insert(db, a_job(encoded_metadata='{"m": 1, "output": {"old": 1}}'))
    for output in ({"new": [1]}, None, "text"):
        written = await db.run(jobs.set_output(job.id, json.dumps(output)))
        assert written is not None
        assert written.metadata == {"m": 1, "output": output}
    assert await db.run(jobs.set_output(404, "1")) is None


EVERYTHING: dict[str, Any] = {
    "ids": [1, 2],
    "kinds": ["greet", "b"],
    "priorities": [1, 2],
    "queues": ["default", "mail"],
    "states": ["available", "running"],
    "tags_all": ["100%"],
    "tags_any": ["100%", "x"],
    "metadata": {"%s": "50%"},
    "where": [
        ("kind like '%ree%' and scheduled_at <= @now", {"now": NOW}),
        ("priority = @p", {"p": 1}),
    ],
    "order_by": "time",
}


async def works_everywhere(connection: Database | Connection) -> None:
    """Every filter at once, twice with the same values, and from a cursor on."""
    jobs = Operations(connection.dialect).jobs
    job = a_job(tags=("100%",), encoded_metadata='{"%s": "50%"}')
    await connection.run(jobs.insert_many([job, job], now=NOW))
    assert await ids_of(connection, **EVERYTHING) == [1, 2]
    (first, *_) = await listed(connection, **EVERYTHING)
    further = {**EVERYTHING, "after": str(job_query(**EVERYTHING).cursor_of(first))}
    assert await ids_of(connection, **further) == [2]
    assert await ids_of(connection, **further) == [2]
    await connection.run(jobs.count_by_queue(["default"]))
    await connection.run(jobs.set_output(1, "1"))
    gone = await connection.run(jobs.delete_many(job_query(**EVERYTHING), limit=9))
    assert [job.id for job in gone] == [1, 2]


@pytest.fixture(params=["postgres", "sqlite"])
async def db_of_mine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database whose tables are in the schema `Mine`."""
    url = f"sqlite:///{tmp_path / 'riverrun.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("empty_postgres_database_url")
    database = open_database(url, schema="Mine")
    await database.open()
    if request.param == "postgres":
        await select(database, 'create schema "Mine"')
    await migrate_up_all(database)
    yield database
    await database.close()


async def test_every_filter_works_with_the_same_values_twice(db: Database) -> None:
    """Trap: River mutates its params, so that a second use said `already registered`."""
    await works_everywhere(db)


async def test_every_filter_works_in_a_schema_of_its_own(db_of_mine: Database) -> None:
    await works_everywhere(db_of_mine)


async def test_every_filter_works_over_psycopg(postgres_database_url: str) -> None:
    database = open_database(postgres_database_url)
    async with await psycopg.AsyncConnection.connect(postgres_database_url) as theirs:
        await works_everywhere(database.adopt(theirs))


async def test_lists_in_the_callers_sql_travel_as_each_database_takes_them(db: Database) -> None:
    await insert_all(db, a_job(kind="a"), a_job(kind="b"), a_job(kind="c"))
    sql = (
        "kind = any(@kinds)"
        if db.dialect.is_postgres
        else "kind in (select value from json_each(@kinds))"
    )
    assert await ids_of(db, where=(sql, {"kinds": ["a", "c"]})) == [1, 3]


async def test_microseconds_in_a_cursor_find_their_row(db: Database) -> None:
    at = datetime(2026, 8, 5, 12, 0, 0, 123456, UTC)
    await insert_all(db, a_job(scheduled_at=at), a_job(scheduled_at=at))
    (first, *_) = await listed(db, order_by="scheduled_at")
    after = str(job_query(order_by="scheduled_at").cursor_of(first))
    assert await ids_of(db, order_by="scheduled_at", after=after) == [2]
