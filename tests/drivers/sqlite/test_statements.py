"""Statements and scripts on SQLite: what they give, and how they end."""

import asyncio
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from riverrun.drivers.sqlite import SQLiteDatabase, SQLiteSyncDatabase
from riverrun.drivers.sqlite_library import ApswLibrary, Session, SQLiteLibrary, split_statements
from riverrun.drivers.statement import Script, Statement
from riverrun.model.errors import (
    DatabaseDataError,
    DatabaseError,
    LifecycleError,
    RiverError,
    SchemaError,
    StatementTimeoutError,
    UniqueConflictError,
)
from tests.support.sqlite import ADD, COUNT, ENDLESS, TABLES, add, query, several


async def test_values_come_back_as_tuples_and_as_they_went(database: SQLiteDatabase) -> None:
    found = await database.run(query("select ?1, ?2, ?3, ?4, ?1", 2**60, "tëxt", b"\0x", None))
    assert found == [(2**60, "tëxt", b"\0x", None, 2**60)]


async def test_a_writing_statement_commits_by_itself_and_may_return_rows(
    database: SQLiteDatabase, other: Session
) -> None:
    returned = await database.run(query("insert into item values ('a', 1), ('b', 2) returning *"))
    assert returned == [("a", 1), ("b", 2)]
    assert other.execute("select count(*) from item") == [(2,)]


async def test_several_statements_may_hold_triggers_comments_and_strings(
    database: SQLiteDatabase,
) -> None:
    await database.run(
        several("""
            create table log (name text); -- a comment; with a semicolon
            create trigger logs after insert on item begin
                insert into log values (new.name); insert into log values ('x;y');
            end;
            insert into item values ('a', 1) -- the last one has no semicolon""")
    )
    assert await database.run(query("select name from log")) == [("a",), ("x;y",)]


async def test_several_statements_happen_together_or_not_at_all(database: SQLiteDatabase) -> None:
    with pytest.raises(DatabaseError):
        await database.run(several("insert into item values ('a', 1); select * from nowhere;"))
    assert await database.run(COUNT) == 0


@pytest.mark.parametrize(
    "text", ["", " ; ", "-- nothing", "select 1;", "select 1 -- ;\n; select 2"]
)
def test_splitting_loses_and_invents_no_statement(text: str) -> None:
    expected = text.count("select")
    assert len([piece for piece in split_statements(text) if "select" in piece]) == expected


async def test_a_statement_is_given_up_at_its_deadline_and_the_next_one_runs(
    database: SQLiteDatabase,
) -> None:
    with pytest.raises(StatementTimeoutError, match="query timed out after"):
        await database.run(query(ENDLESS, timeout=0.01))
    assert await database.run(COUNT) == 0


async def test_a_script_is_one_transaction(database: SQLiteDatabase, other: Session) -> None:
    seen: list[Any] = []

    def script() -> Script[int]:
        yield add("a")
        seen.extend(other.execute("select count(*) from item"))
        return (yield COUNT)

    assert await database.transact(script()) == 1
    assert seen == [(0,)]
    assert other.execute("select count(*) from item") == [(1,)]


async def test_a_script_holds_the_write_lock_from_its_first_statement_on(
    database: SQLiteDatabase, other: Session, library: SQLiteLibrary
) -> None:
    def script() -> Script[None]:
        yield COUNT
        with pytest.raises(library.errors, match=r"(?i)locked|busy"):
            other.execute(ADD, ["b"])
        yield add("a")

    await database.transact(script())
    assert await database.run(COUNT) == 1


async def test_a_script_of_one_last_statement_commits_with_it(
    database: SQLiteDatabase, other: Session
) -> None:
    seen: list[Any] = []

    def script() -> Script[str]:
        yield replace(add("a"), last=True)
        seen.extend(other.execute("select count(*) from item"))
        return "done"

    assert await database.transact(script()) == "done"
    assert seen == [(1,)]


@pytest.mark.parametrize("last", [add("a"), query("select * from nowhere")])
async def test_a_script_that_fails_leaves_nothing(
    database: SQLiteDatabase, last: Statement[Any]
) -> None:
    def script() -> Script[None]:
        yield add("a")
        yield last

    with pytest.raises(DatabaseError):
        await database.transact(script())
    assert await database.run(COUNT) == 0


async def test_a_script_may_raise_what_it_likes_to_undo_itself(database: SQLiteDatabase) -> None:
    def script() -> Script[None]:
        yield add("a")
        raise KeyError("changed my mind")

    with pytest.raises(KeyError, match="changed my mind"):
        await database.transact(script())
    assert await database.run(COUNT) == 0


async def test_scripts_of_many_tasks_do_not_mix(database: SQLiteDatabase) -> None:
    def script(name: str) -> Script[int]:
        before: int = yield COUNT
        yield add(f"{name} 1")
        yield add(f"{name} 2")
        after: int = yield COUNT
        return after - before

    added = await asyncio.gather(*(database.transact(script(str(n))) for n in range(50)))
    assert added == [2] * 50


async def test_a_cancelled_script_is_undone_and_frees_the_connection(
    database: SQLiteDatabase,
) -> None:
    loop, under_way = asyncio.get_running_loop(), asyncio.Event()

    def script() -> Script[None]:
        yield add("a")
        loop.call_soon_threadsafe(under_way.set)
        yield query(ENDLESS)

    task = asyncio.create_task(database.transact(script()))
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await database.run(COUNT) == 0


async def test_a_script_whose_caller_goes_before_the_commit_is_undone(
    database: SQLiteDatabase,
) -> None:
    loop = asyncio.get_running_loop()

    def cancel() -> None:
        task.cancel()
        loop.call_soon(gone.set)

    def script() -> Script[None]:
        yield add("a")
        loop.call_soon_threadsafe(cancel)
        gone.wait()

    gone = threading.Event()
    task = asyncio.create_task(database.transact(script()))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await database.run(COUNT) == 0


async def test_a_cancelled_wait_for_the_lock_ends(database: SQLiteDatabase, other: Session) -> None:
    other.execute("begin immediate")
    task = asyncio.create_task(database.run(add("a")))
    read = asyncio.create_task(database.run(COUNT))
    await asyncio.wait([read], timeout=0)
    task.cancel()
    assert await read == 0
    other.execute("rollback")
    assert await database.run(COUNT) == 0


@pytest.mark.parametrize(
    ("statement", "error", "text"),
    [
        (query("select * from river_queue"), SchemaError, "missing; run `riverrun migrate-up"),
        (query("select nope from river_job"), SchemaError, "too old; run `riverrun migrate-up"),
        (query("insert into river_job (nope) values (1)"), SchemaError, "too old"),
        (query("select * from nowhere"), DatabaseError, "no such table: nowhere"),
        (query("selct"), DatabaseError, "query: near"),
        (query("insert into item values ('a', 100)"), DatabaseDataError, "CHECK"),
        (query("insert into item values ('a', 1), ('a', 1)"), DatabaseDataError, "UNIQUE"),
        (query("insert into river_job (id) values ('x')"), DatabaseDataError, "mismatch"),
        (query("select jsonb('{')"), DatabaseDataError, "malformed JSON"),
        (query("select ?1", 2**63), DatabaseDataError, "int"),
        (query("select ?1", "\ud800"), DatabaseDataError, "surrogates"),
        (query("select ?1", object()), DatabaseDataError, "type"),
    ],
)
async def test_refusals_name_their_cause(
    database: SQLiteDatabase, statement: Statement[Any], error: type[RiverError], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        await database.run(statement)
    assert type(caught.value) is error


async def test_a_unique_key_that_is_taken_is_a_conflict(database: SQLiteDatabase) -> None:
    insert = query("insert into river_job (unique_key, state) values (?1, 'available')", b"k")
    await database.run(insert)
    with pytest.raises(UniqueConflictError):
        await database.run(insert)


def test_the_synchronous_database_does_the_same(path: Path, library: SQLiteLibrary) -> None:
    database = SQLiteSyncDatabase(str(path), library=library)
    database.open()
    database.run(several(TABLES))

    def script() -> Script[int]:
        yield add("a")
        return (yield COUNT)

    assert database.transact(script()) == 1
    with pytest.raises(DatabaseDataError):
        database.transact(script())
    database.close()
    with pytest.raises(LifecycleError):
        database.run(COUNT)


def test_the_synchronous_database_adopts_connections(path: Path) -> None:
    database = SQLiteSyncDatabase(str(path), library=ApswLibrary())
    database.open()
    database.run(several(TABLES))
    with closing(apsw.Connection(str(path))) as connection:
        with connection:
            database.adopt(connection).run(add("a"))
            assert database.run(COUNT) == 0
        assert database.run(COUNT) == 1
    database.close()
