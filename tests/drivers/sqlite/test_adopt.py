"""Other people's connections, used in their transactions."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import apsw
import pytest

from riverrun.drivers.sqlite import SQLiteDatabase
from riverrun.drivers.sqlite_library import Session, SQLiteLibrary, StandardLibrary
from riverrun.model.errors import SchemaError, UnsupportedError
from tests.support.sqlite import COUNT, add, query, several


@pytest.mark.parametrize(("end", "left"), [("commit", 1), ("rollback", 0)])
async def test_an_adopted_connection_stays_in_its_owners_transaction(
    database: SQLiteDatabase, connect: Callable[..., Any], other: Session, end: str, left: int
) -> None:
    connection = connect()
    connection.execute("begin")
    await database.adopt(connection).run(add("a"))
    assert other.execute("select count(*) from item") == [(0,)]
    assert connection.in_transaction
    connection.execute(end)
    assert await database.run(COUNT) == left


async def test_an_adopted_connection_without_a_transaction_commits_each_statement(
    database: SQLiteDatabase, connect: Callable[..., Any], library: SQLiteLibrary
) -> None:
    options = {} if library.name == "apsw" else {"isolation_level": None}
    await database.adopt(connect(**options)).run(add("a"))
    assert await database.run(COUNT) == 1


def something_else(*_: object) -> str:
    return "a row of somebody's own"


async def test_an_adopted_connections_own_rows_do_not_matter(
    database: SQLiteDatabase, connect: Callable[..., Any]
) -> None:
    connection = connect()
    name = "row_trace" if isinstance(connection, apsw.Connection) else "row_factory"
    setattr(connection, name, something_else)
    assert await database.adopt(connection).run(query("select 1, 2")) == [(1, 2)]


async def test_several_statements_on_an_adopted_connection_do_not_commit(
    database: SQLiteDatabase, connect: Callable[..., Any]
) -> None:
    connection = connect()
    connection.execute("begin")
    await database.adopt(connection).run(several("create table b (x); create table c (x);"))
    connection.execute("rollback")
    assert await database.run(query("select 1 from sqlite_schema where name in ('b', 'c')")) == []


def test_sqlite3_begins_a_transaction_also_for_writes_that_start_with_with() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create table item (name text)")
        session = StandardLibrary().lend(connection)
        assert session
        session.execute("with n (name) as (select 'a') insert into item select name from n")
        assert connection.in_transaction
        connection.rollback()
        assert session.execute("with n (name) as (select 'a') select * from item, n") == []
        assert not connection.in_transaction


async def test_a_connection_of_the_other_library_is_refused_with_the_reason(
    database: SQLiteDatabase, library: SQLiteLibrary
) -> None:
    foreign = sqlite3.connect if library.name == "apsw" else apsw.Connection
    with (
        closing(foreign(":memory:")) as connection,
        pytest.raises(UnsupportedError, match=r"uses \w+ for SQLite.*can damage it"),
    ):
        database.adopt(connection)


async def test_anything_else_is_refused_by_name(database: SQLiteDatabase) -> None:
    with pytest.raises(UnsupportedError, match=r"builtins\.dict"):
        database.adopt({})


async def test_errors_on_an_adopted_connection_are_ours(
    database: SQLiteDatabase, connect: Callable[..., Any]
) -> None:
    with pytest.raises(SchemaError, match="migrate-up"):
        await database.adopt(connect()).run(query("select * from river_leader"))
