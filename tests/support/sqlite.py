"""What the tests of the SQLite driver ask it, over tables of their own."""

from collections.abc import Sequence
from typing import Any

import pytest

from riverrun.drivers.sqlite_library import MINIMUM_VERSION, SQLiteLibrary, StandardLibrary
from riverrun.drivers.statement import Row, Statement, nothing, one

TABLES = """
    create table item (name text primary key, size integer check (size < 100));
    create table river_job (id integer primary key, unique_key blob, state text);
    create unique index river_job_unique_idx on river_job (unique_key) where state <> 'completed';
    create table river_notification (
        id integer primary key autoincrement, payload text not null, topic text not null
    );
"""
ENDLESS = "with recursive n (i) as (select 1 union all select i + 1 from n) select max(i) from n"
ADD = "insert into item values (?1, 1)"


def rows(found: Sequence[Row]) -> list[Any]:
    return list(found)


def query(sql: str, *params: Any, timeout: float = 30) -> Statement[list[Any]]:
    return Statement("query", sql, params, rows, timeout=timeout)


def add(name: str, *, timeout: float = 30) -> Statement[None]:
    return Statement("add", ADD, (name,), nothing, timeout=timeout)


def several(text: str) -> Statement[None]:
    return Statement("several", text, (), nothing, several=True)


COUNT = Statement("count", "select count(*) from item", (), one)


def standard_library() -> SQLiteLibrary:
    """CPython's own library where it is new enough, else the same interface over a newer SQLite."""
    if StandardLibrary().version >= MINIMUM_VERSION:
        return StandardLibrary()
    reason = "CPython's SQLite is too old and pysqlite3-binary is not installed"
    return StandardLibrary(pytest.importorskip("pysqlite3.dbapi2", reason=reason))
