"""What the doctor finds besides settings, and how it judges what a test server cannot be made to say."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from riverrun.client.doctor import apply, examine
from riverrun.client.doctor_rules import Facts, Finding, judge
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.storage import JobStatistics, Relation, VacuumHolder
from riverrun.drivers.statement import Database
from riverrun.model.errors import StatementTimeoutError
from tests.support.databases import opened
from tests.support.maintenance import lock_held, until
from tests.support.operations import select

STORAGE = Operations(Dialect("postgres", "$", "mine")).storage
GOOD = {
    "autovacuum": "on",
    "track_counts": "on",
    "synchronous_commit": "off",
    "gin_pending_list_limit": "65536",
    "autovacuum_vacuum_scale_factor": "0.01",
    "autovacuum_vacuum_insert_scale_factor": "0.01",
    "autovacuum_vacuum_cost_delay": "0",
    "vacuum_cost_delay": "0",
}


@pytest.fixture
async def postgres(postgres_database_url: str) -> AsyncIterator[Database]:
    async with opened(postgres_database_url) as database:
        yield database


async def found(db: Database, name: str, *, old: float = 600) -> list[Finding]:
    return [each for each in (await examine(db, old=old)).findings if each.name == name]


def judged(
    *,
    table: dict[str, str] | None = None,
    gin: dict[str, str] | None = None,
    settings: dict[str, str] | None = None,
    statistics: JobStatistics | None = None,
    holder: VacuumHolder | None = None,
) -> list[tuple[str, str, str]]:
    """Name, present value and SQL of what is found on a server where all else is well."""
    facts = Facts(
        relations=[
            Relation(name="river_job", method="heap", options=table or {}),
            Relation(name="river_job_args_index", method="gin", options=gin or {}),
        ],
        settings={**GOOD, **(settings or {})},
        statistics=statistics or JobStatistics(5, 0),
        holders=[holder] if holder else [],
    )
    return [(each.name, each.present, each.sql) for each in judge(facts, STORAGE)]


def test_a_server_with_good_settings_needs_none_of_the_table() -> None:
    assert judged() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("autovacuum_vacuum_scale_factor", "0.05"),
        ("autovacuum_vacuum_cost_delay", "20"),
        ("autovacuum_enabled", "off"),
    ],
)
def test_what_was_set_on_the_table_counts_more_than_the_server(name: str, value: str) -> None:
    ((found_name, present, sql),) = judged(table={name: value})
    assert (found_name, present) == (name, value)
    assert sql.startswith(f'alter table "mine"."river_job" set ({name} = ')


def test_a_delay_of_minus_one_is_the_delay_of_every_vacuum() -> None:
    settings = {"autovacuum_vacuum_cost_delay": "-1", "vacuum_cost_delay": "3"}
    ((name, present, _),) = judged(settings=settings)
    assert (name, present) == ("autovacuum_vacuum_cost_delay", "3")
    assert judged(settings={**settings, "vacuum_cost_delay": "0"}) == []


def test_an_index_without_a_pending_list_gets_one() -> None:
    ((name, _, sql),) = judged(gin={"fastupdate": "false"})
    assert name == "fastupdate"
    assert sql == 'alter index "mine"."river_job_args_index" set (fastupdate = on)'


def test_a_server_that_has_no_such_settings_gets_no_suggestions() -> None:
    facts = Facts(
        relations=[
            Relation(name="river_job", method="heap"),
            Relation(name="river_job_args_index", method="gin"),
        ],
        settings={"synchronous_commit": "off"},
        statistics=JobStatistics(0, 0),
        holders=[],
    )
    assert judge(facts, STORAGE) == []


@pytest.mark.parametrize("name", ["autovacuum", "track_counts"])
def test_a_server_that_never_vacuums_is_named(name: str) -> None:
    expected = f"alter system set {name} = on; select pg_reload_conf()"
    assert judged(settings={name: "off"}) == [(name, "off", expected)]


@pytest.mark.parametrize(
    ("holder", "sql"),
    [
        (VacuumHolder("transaction", "17", 700.4), "select pg_terminate_backend(17)"),
        (VacuumHolder("prepared transaction", "it's", 700.4), "rollback prepared 'it''s'"),
        (VacuumHolder("replication slot", "copy"), "select pg_drop_replication_slot('copy')"),
    ],
)
def test_whatever_holds_back_vacuum_is_named(holder: VacuumHolder, sql: str) -> None:
    age = ", 700 s old" if holder.seconds else ""
    assert judged(holder=holder) == [(holder.kind, f"holds back vacuum{age}", sql)]


def test_a_user_who_cannot_see_everything_is_told_so() -> None:
    ((name, _, _),) = judged(statistics=JobStatistics(5, 0, sees_all=False))
    assert name == "permissions"


@pytest.mark.parametrize(
    ("live", "dead", "is_named"), [(4, 10_000, 0), (4, 10_001, 1), (9_000, 10_001, 0)]
)
def test_dead_rows_are_named_when_they_are_many(live: int, dead: int, is_named: int) -> None:
    assert len(judged(statistics=JobStatistics(live, dead))) == is_named


async def test_dead_rows_are_counted_and_a_vacuum_removes_them(
    postgres: Database, postgres_database_url: str
) -> None:
    with psycopg.connect(postgres_database_url, autocommit=True) as connection:
        connection.execute("alter table river_job set (autovacuum_enabled = false)")
        connection.execute(
            "insert into river_job (kind, args, max_attempts)"
            " select 'greet', '{}', 1 from generate_series(1, 10001)"
        )
        connection.execute("delete from river_job")
    await until(lambda: found(postgres, "dead rows"))
    ((finding),) = await found(postgres, "dead rows")
    assert (finding.present, finding.todo) == ("10001 dead, 0 live", "by hand")
    await select(postgres, finding.sql)
    assert await found(postgres, "dead rows") == []


async def test_an_old_transaction_is_named(postgres: Database, postgres_database_url: str) -> None:
    async with lock_held(postgres_database_url, "select txid_current()") as other:
        (finding,) = await found(postgres, "transaction", old=0)
        assert finding.on == str(other.get_server_pid())
        assert await found(postgres, "transaction") == []
        await select(postgres, finding.sql)
        await until(lambda: _none_of(postgres))


async def _none_of(db: Database) -> bool:
    return await found(db, "transaction", old=0) == []


async def test_an_index_that_no_query_uses_is_named(
    postgres: Database, postgres_database_url: str
) -> None:
    reindex = Operations(postgres.dialect).indexes.reindex("river_job_kind", timeout=0.5)
    async with lock_held(postgres_database_url, "lock table river_job in row exclusive mode"):
        with pytest.raises(StatementTimeoutError):
            await postgres.run(reindex)
    (finding,) = await found(postgres, "invalid index")
    assert (finding.on, finding.todo) == ("river_job_kind_ccnew", "by hand")
    await select(postgres, finding.sql)
    assert await found(postgres, "invalid index") == []


async def test_an_index_of_rivers_own_is_not_dropped_but_built_anew(postgres: Database) -> None:
    await select(
        postgres,
        "update pg_index set indisvalid = false where indexrelid = 'river_job_kind'::regclass",
    )
    (finding,) = await found(postgres, "invalid index")
    assert finding.sql == 'reindex index concurrently "river_job_kind"'
    await select(postgres, finding.sql)
    assert await found(postgres, "invalid index") == []


async def test_what_cannot_be_changed_is_said_and_all_else_is_changed(postgres: Database) -> None:
    findings = (await examine(postgres)).findings
    await select(postgres, "drop index river_job_args_index")
    (problem,) = await apply(postgres, findings)
    assert problem.startswith("river_job_args_index stays as it is: alter_storage: ")
    assert (await examine(postgres)).suggestions == []
