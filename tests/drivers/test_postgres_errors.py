"""What riverrun makes of PostgreSQL's errors, and of a server that cannot be reached."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.statement import Statement, nothing, one
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseDataError,
    DatabaseError,
    DatabaseUnavailableError,
    RiverError,
    SchemaError,
    StatementTimeoutError,
    UniqueConflictError,
)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[AsyncpgDatabase]:
    database = AsyncpgDatabase(postgres_url, max_size=1)
    await database.open()
    yield database
    await database.close()


def ask(sql: str, *params: object) -> Statement[Any]:
    return Statement("ask", sql, params, one)


def tell(sql: str) -> Statement[None]:
    return Statement("tell", sql, (), nothing, several=True)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"netloc": "127.0.0.1:1"}, DatabaseUnavailableError, "is the server running"),
        ({"path": "/no_such_database"}, ConfigurationError, "createdb"),
        ({"query": "no_such_setting=1"}, ConfigurationError, "remove the option"),
        ({"query": "sslmode=sometimes"}, ConfigurationError, "`sslmode` parameter must be one of"),
        ({"netloc": "me:top/secret@127.0.0.1"}, ConfigurationError, "write special characters"),
    ],
)
async def test_opening_says_what_is_wrong(
    postgres_url: str, change: dict[str, str], error: type[RiverError], says: str
) -> None:
    url = urlsplit(postgres_url)._replace(**change).geturl()
    with pytest.raises(error, match=says) as refused:
        await AsyncpgDatabase(url).open()
    assert "secret" not in f"{refused.value} {refused.value.__cause__}"


@pytest.mark.parametrize(
    ("sql", "params", "error"),
    [
        ("select $1::text", ["\0"], DatabaseDataError),
        ("select $1::text", ["\ud800"], DatabaseDataError),
        ("select $1::int", [2**40], DatabaseDataError),
        ("select $1::text::jsonb", [r'{"a": "\u0000"}'], DatabaseDataError),
        ("select $1::text::jsonb", ["{"], DatabaseDataError),
        ("select 1 from no_such_table", [], SchemaError),
        ("select 1 from no_such_schema.a", [], SchemaError),
        ("select 'a'::no_such_type", [], SchemaError),
        ("select no_such_function()", [], SchemaError),
        ("select no_such_column from pg_class", [], SchemaError),
        ("select pg_cancel_backend(pg_backend_pid())", [], StatementTimeoutError),
        ("selekt", [], DatabaseError),
    ],
)
async def test_errors_are_ours(
    database: AsyncpgDatabase, sql: str, params: list[object], error: type[DatabaseError]
) -> None:
    with pytest.raises(error) as raised:
        await database.run(ask(sql, *params))
    assert type(raised.value) is error
    assert str(raised.value).startswith("ask: ")
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("40001", DatabaseUnavailableError),
        ("40P01", DatabaseUnavailableError),
        ("25006", DatabaseUnavailableError),
        ("53300", DatabaseUnavailableError),
        ("08006", DatabaseUnavailableError),
        ("54000", DatabaseDataError),
        ("3F000", SchemaError),
        ("23503", DatabaseError),
    ],
)
async def test_the_code_decides(
    database: AsyncpgDatabase, code: str, error: type[DatabaseError]
) -> None:
    with pytest.raises(error) as raised:
        await database.run(tell(f"do $$ begin raise exception sqlstate '{code}'; end $$"))
    assert type(raised.value) is error
    assert raised.value.sqlstate == code


async def test_the_unique_key_of_another_job_is_told_from_other_keys(
    database: AsyncpgDatabase,
) -> None:
    await database.run(
        tell("""
            create temp table a (x int, y int);
            create unique index river_job_unique_idx on a (x);
            create unique index other_idx on a (y);
            insert into a values (1, 1);
        """)
    )
    with pytest.raises(UniqueConflictError):
        await database.run(tell("insert into a values (1, 2)"))
    with pytest.raises(DatabaseError, match="other_idx"):
        await database.run(tell("insert into a values (2, 1)"))
