"""What may go, goes: finished jobs past their time, and queues that nobody serves."""

import asyncio

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.jobs import RetentionRule
from riverrun.drivers.statement import Database, Statement
from riverrun.model.errors import StatementTimeoutError
from riverrun.model.job import JobState
from tests.support.maintenance import an_ended_job, ids, literal, lock_held, until
from tests.support.operations import NOW, a_job, change, insert, insert_all, later, select

COMPLETED = JobState.COMPLETED
ENDED = ("cancelled", "completed", "discarded")


def a_rule(age: float = 60, state: str = "completed", queue: str | None = None) -> RetentionRule:
    return RetentionRule(state=JobState(state), age=age, queue=queue)


def deletion(
    db: Database, *rules: RetentionRule, own_queues: tuple[str, ...] = (), limit: int = 100
) -> Statement[int]:
    return Operations(db.dialect).jobs.delete_finalized(
        rules, own_queues=own_queues, limit=limit, now=NOW
    )


@pytest.mark.parametrize("state", ENDED)
async def test_each_state_has_its_own_time(db: Database, state: str) -> None:
    jobs = {ended: await an_ended_job(db, ended, later(-61)) for ended in ENDED}
    assert await db.run(deletion(db, a_rule(state=state))) == 1
    assert await ids(db) == [job.id for ended, job in jobs.items() if ended != state]


async def test_a_job_stays_until_its_time_is_over(db: Database) -> None:
    old = await an_ended_job(db, "completed", later(-60.001))
    young = await an_ended_job(db, "completed", later(-60))
    assert await db.run(deletion(db, a_rule(60))) == 1
    assert await ids(db) == [young.id] != [old.id]


async def test_the_clock_of_the_database_counts(db: Database) -> None:
    await an_ended_job(db, "completed", later(0))
    jobs = Operations(db.dialect).jobs
    assert await db.run(jobs.delete_finalized([a_rule(1_000_000_000)], limit=10)) == 0


async def test_what_has_not_ended_never_goes(db: Database) -> None:
    for state in (JobState.AVAILABLE, JobState.PENDING, JobState.SCHEDULED):
        await insert(db, a_job(state=state, scheduled_at=later(-1000)))
    running = await insert(db)
    await change(db, running, f"state = 'running', attempted_at = {literal(db, later(-999))}")
    assert await db.run(deletion(db, *[a_rule(0, state) for state in ENDED])) == 0
    assert len(await ids(db)) == 4


async def test_without_a_rule_nothing_goes(db: Database) -> None:
    await an_ended_job(db, "completed", later(-999))
    assert await db.run(deletion(db)) == 0


async def test_a_batch_takes_what_ended_first(db: Database) -> None:
    jobs = [await an_ended_job(db, "completed", later(-100 - n)) for n in range(4)]
    assert await db.run(deletion(db, a_rule(), limit=3)) == 3
    assert await ids(db) == [jobs[0].id]
    assert await db.run(deletion(db, a_rule(), limit=3)) == 1


async def test_the_limit_counts_for_all_states_together(db: Database) -> None:
    for state in ENDED:
        await an_ended_job(db, state, later(-100))
    rules = [a_rule(state=state) for state in ENDED]
    assert await db.run(deletion(db, *rules, limit=2)) == 2


async def test_a_queue_of_its_own_follows_its_own_rules_only(db: Database) -> None:
    mail = await an_ended_job(db, "completed", later(-100), a_job(queue="mail"))
    fast = await an_ended_job(db, "completed", later(-2), a_job(queue="fast"))
    other = await an_ended_job(db, "completed", later(-100))
    young = await an_ended_job(db, "completed", later(-2))
    rules = [a_rule(60), a_rule(1, queue="fast")]
    assert await db.run(deletion(db, *rules, own_queues=("fast", "mail"))) == 2
    assert await ids(db) == [mail.id, young.id]
    assert {fast.id, other.id}.isdisjoint(await ids(db))


async def test_no_number_of_excluded_jobs_keeps_others_from_going(db: Database) -> None:
    """Storage D-12: the exclusion counts before the limit, not after it."""
    for _ in range(5):
        await an_ended_job(db, "completed", later(-1000), a_job(queue="audit"))
    await an_ended_job(db, "completed", later(-100))
    assert await db.run(deletion(db, a_rule(), own_queues=("audit",), limit=2)) == 1
    assert len(await ids(db)) == 5


async def test_a_time_as_long_as_the_longest_is_no_error(db: Database) -> None:
    await an_ended_job(db, "completed", later(-100))
    assert await db.run(deletion(db, a_rule(1e300))) == 0


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_job_that_is_retried_meanwhile_stays(
    postgres_database_url: str, db: Database
) -> None:
    job = await an_ended_job(db, "completed", later(-100))
    retry = f"update river_job set state = 'available', finalized_at = null where id = {job.id}"  # noqa: S608
    async with lock_held(postgres_database_url, retry) as other:
        assert await db.run(deletion(db, a_rule())) == 0
        await other.execute("commit")
    assert await db.run(deletion(db, a_rule())) == 0
    assert await ids(db) == [job.id]


async def is_waiting(db: Database) -> bool:
    return bool(await select(db, "select from pg_locks where not granted"))


async def test_the_search_goes_by_the_index_of_finished_jobs(db: Database) -> None:
    """Measured with many finished jobs of which few may go, and with many of which all may."""
    await insert_all(db, *[a_job() for _ in range(5000)])
    finished = f"state = 'completed', finalized_at = {literal(db, later(-100))}"
    await select(db, f"update river_job set {finished}")  # noqa: S608
    await select(db, "analyze river_job")
    for age in (60, 100_000):
        steps = await plan(db, deletion(db, *[a_rule(age, state) for state in ENDED], limit=100))
        assert "river_job_state_and_finalized_at_index" in steps, steps
        assert "Seq Scan on river_job" not in steps
        assert "SCAN river_job" not in steps
        assert "Index Cond: ((state = (rule.state)" in steps or not db.dialect.is_postgres, steps


async def plan(db: Database, statement: Statement[int]) -> str:
    command = "explain" if db.dialect.is_postgres else "explain query plan"
    explain = Statement("plan", f"{command} {statement.sql}", statement.params, list)
    return "\n".join(str(row[-1]) for row in await db.run(explain))


async def a_queue(db: Database, name: str, seconds: float) -> None:
    await db.run(Operations(db.dialect).queues.upsert(name, now=later(seconds)))


async def test_unserved_queues_go_by_name_in_batches(db: Database) -> None:
    for name, seconds in (("web", -61), ("mail", -61), ("reports", -60), ("fax", -90)):
        await a_queue(db, name, seconds)
    delete = Operations(db.dialect).queues.delete_expired
    assert sorted(await db.run(delete(60, limit=2, now=NOW))) == ["fax", "mail"]
    assert await db.run(delete(60, limit=2, now=NOW)) == ["web"]
    assert await db.run(delete(60, limit=2, now=NOW)) == []
    assert [tuple(row) for row in await select(db, "select name from river_queue")] == [
        ("reports",)
    ]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_queue_that_is_served_again_meanwhile_stays(
    postgres_database_url: str, db: Database
) -> None:
    await a_queue(db, "mail", -61)
    serve = f"update river_queue set updated_at = '{NOW}'"  # noqa: S608
    async with lock_held(postgres_database_url, serve) as other:
        delete = Operations(db.dialect).queues.delete_expired(60, limit=2, now=NOW)
        cleaning = asyncio.create_task(db.run(delete))
        await until(lambda: is_waiting(db))
        await other.execute("commit")
        assert await cleaning == []


async def test_a_statement_that_takes_too_long_says_so(
    postgres_database_url: str, db: Database
) -> None:
    # SQLite looks up once in 100,000 of its instructions.
    count, timeout = (1, 0.1) if db.dialect.is_postgres else (5_000, 0)
    await insert_all(db, *[a_job() for _ in range(count)])
    await select(db, f"update river_job set state = 'completed', finalized_at = {literal(db, NOW)}")  # noqa: S608
    jobs = Operations(db.dialect).jobs
    late = jobs.delete_finalized([a_rule(60)], limit=count, timeout=timeout, now=later(100))
    async with lock_held(postgres_database_url, "lock table river_job in share mode"):
        with pytest.raises(StatementTimeoutError, match="delete_finalized_jobs timed out after 0"):
            await db.run(late)
    assert len(await ids(db)) == count
