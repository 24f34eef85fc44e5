"""The file: opening it, sharing it, and what can be wrong with it."""

import asyncio
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from riverrun.drivers.sqlite import SQLiteDatabase
from riverrun.drivers.sqlite_library import Session, SQLiteLibrary, StandardLibrary, checked
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseError,
    DatabaseUnavailableError,
    LifecycleError,
)
from tests.support.sqlite import ADD, COUNT, TABLES, add, query, several

WRITER = """
import asyncio, sys
from riverrun.drivers.sqlite import SQLiteDatabase
from riverrun.drivers.statement import Statement, nothing

async def main(path, prefix):
    database = SQLiteDatabase(path)
    await database.open()
    for number in range(100):
        row = (f"{prefix}{number}",)
        await database.run(Statement("add", "insert into item values (?1, 1)", row, nothing))
    await database.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_file_is_opened_for_concurrent_use(database: SQLiteDatabase) -> None:
    assert await database.run(query("pragma journal_mode")) == [("wal",)]
    assert await database.run(query("pragma synchronous")) == [(1,)]


async def test_full_durability_can_be_chosen(path: Path, library: SQLiteLibrary) -> None:
    database = SQLiteDatabase(str(path), synchronous="full", library=library)
    await database.open()
    assert await database.run(query("pragma synchronous")) == [(2,)]
    await database.close()


async def test_a_database_in_memory_keeps_its_tables(library: SQLiteLibrary) -> None:
    database = SQLiteDatabase(":memory:", library=library)
    await database.open()
    await database.open()
    await database.run(several(TABLES))
    with pytest.raises(DatabaseUnavailableError):
        await database.run(several("pragma query_only = on; delete from item;"))
    assert await database.run(COUNT) == 0
    await database.close()


async def test_a_schema_is_the_name_under_which_the_file_is_attached(
    path: Path, library: SQLiteLibrary
) -> None:
    database = SQLiteDatabase(str(path), schema="jobs", library=library)
    await database.open()
    await database.run(several("create table jobs.item (name text)"))
    assert await database.run(query("pragma jobs.journal_mode")) == [("wal",)]
    await database.close()
    with closing(library.open(path.as_uri())) as session:
        assert session.execute("select name from sqlite_schema") == [("item",)]


async def test_a_missing_directory_is_named_and_opening_works_once_it_is_there(
    tmp_path: Path, library: SQLiteLibrary
) -> None:
    database = SQLiteDatabase(str(tmp_path / "nowhere" / "jobs.db"), library=library)
    with pytest.raises(DatabaseUnavailableError, match=r"nowhere does not exist .*jobs\.db"):
        await database.open()
    (tmp_path / "nowhere").mkdir()
    await database.open()
    await database.close()


async def test_a_directory_is_no_database(tmp_path: Path, library: SQLiteLibrary) -> None:
    with pytest.raises(DatabaseUnavailableError, match="it is a directory"):
        await SQLiteDatabase(str(tmp_path), library=library).open()


async def test_a_missing_file_is_only_made_when_allowed(path: Path, library: SQLiteLibrary) -> None:
    with pytest.raises(DatabaseUnavailableError, match="it does not exist"):
        await SQLiteDatabase(str(path), create=False, library=library).open()
    assert not exists(path)


async def test_a_file_of_another_kind_is_left_alone(path: Path, library: SQLiteLibrary) -> None:
    write(path, "Dear diary, " * 100)
    with pytest.raises(DatabaseError, match=r"not a database .*jobs\.db") as caught:
        await SQLiteDatabase(str(path), library=library).open()
    assert not isinstance(caught.value, DatabaseUnavailableError)
    assert read(path) == "Dear diary, " * 100


async def test_a_connection_that_cannot_write_is_replaced(database: SQLiteDatabase) -> None:
    await database.run(query("pragma query_only = on"))
    with pytest.raises(DatabaseUnavailableError, match=r"readonly database .*jobs\.db"):
        await database.run(add("a"))
    await database.run(add("a"))


async def test_a_full_disk_is_an_error_that_passes(database: SQLiteDatabase) -> None:
    await database.run(query("pragma max_page_count = 1"))
    with pytest.raises(DatabaseUnavailableError, match=r"is full .*jobs\.db"):
        await database.run(add("a" * 100_000))
    await database.run(query("pragma max_page_count = 100000"))
    await database.run(add("a" * 100_000))


async def test_a_replaced_file_is_noticed(database: SQLiteDatabase, path: Path) -> None:
    old = path.with_suffix(".old")
    move(path, old)
    for _ in ("deleted", "replaced"):
        with pytest.raises(DatabaseError, match="was deleted or replaced"):
            await database.run(COUNT)
        write(path, "something else")
    move(old, path)
    assert await database.run(COUNT) == 0


async def test_a_writer_waits_for_the_lock_without_blocking_the_loop(
    database: SQLiteDatabase, other: Session
) -> None:
    other.execute("begin immediate")
    task = asyncio.create_task(database.run(add("a")))
    asyncio.get_running_loop().call_soon(other.execute, "commit")
    await task
    assert other.execute("select count(*) from item") == [(1,)]


async def test_a_lock_held_too_long_is_an_error_that_says_so(
    database: SQLiteDatabase, other: Session
) -> None:
    other.execute("begin immediate")
    with pytest.raises(DatabaseUnavailableError, match=r"held the write lock .* left open"):
        await database.run(add("a", timeout=0.01))
    other.execute("rollback")
    await database.run(add("a"))


async def test_readers_do_not_wait_for_a_writer(database: SQLiteDatabase, other: Session) -> None:
    other.execute("begin immediate")
    other.execute(ADD, ["a"])
    assert await database.run(COUNT) == 0
    other.execute("commit")
    assert await database.run(COUNT) == 1


async def test_two_processes_write_to_one_file_without_errors(tmp_path: Path) -> None:
    path = str(tmp_path / "shared.db")
    database = SQLiteDatabase(path)
    await database.open()
    await database.run(several(TABLES))
    command = partial(asyncio.create_subprocess_exec, sys.executable, "-c", WRITER, path)
    processes = [await command("a"), await command("b")]
    for number in range(100):
        await database.run(add(f"c{number}"))
    assert [await process.wait() for process in processes] == [0, 0]
    assert await database.run(COUNT) == 300
    await database.close()


async def test_a_database_is_used_between_open_and_close(path: Path) -> None:
    database = SQLiteDatabase(str(path))
    await database.close()
    with pytest.raises(LifecycleError, match="not open"):
        await database.run(COUNT)
    await database.open()
    await database.close()
    with pytest.raises(LifecycleError, match="not open"):
        await database.run(COUNT)


async def test_closing_waits_for_what_was_asked_before(
    database: SQLiteDatabase, path: Path
) -> None:
    asked = [asyncio.create_task(database.run(add(str(number)))) for number in range(10)]
    closing_down = asyncio.create_task(database.close())
    await asyncio.gather(*asked, closing_down)
    assert not exists(path.with_name("jobs.db-wal"))


async def test_a_forked_process_is_refused(
    database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as forked:
        forked.setattr("os.getpid", lambda: -1)
        with pytest.raises(LifecycleError, match="forked"):
            await database.run(COUNT)
        await database.close()
    assert await database.run(COUNT) == 0


def test_a_library_that_is_too_old_is_refused_with_what_to_do() -> None:
    old = SimpleNamespace(__name__="sqlite3", sqlite_version_info=(3, 44, 9), Error=Exception)
    with pytest.raises(ConfigurationError, match=r"3\.44\.9.*since 3\.45\.0.*--upgrade apsw"):
        checked(StandardLibrary(old))


# Files, away from the loop's rules


def exists(path: Path) -> bool:
    return path.exists()


def read(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def move(path: Path, to: Path) -> None:
    path.replace(to)
