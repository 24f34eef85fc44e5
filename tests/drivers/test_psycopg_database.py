"""What is asked of PostgreSQL through psycopg: answers, transactions, deadlines, loss, and threads."""

import asyncio
import builtins
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from riverrun.drivers.psycopg_database import PsycopgDatabase
from riverrun.drivers.psycopg_settings import psycopg_settings
from riverrun.drivers.statement import Script, Statement, nothing, one
from riverrun.drivers.url import open_sync_database
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseDataError,
    DatabaseError,
    DatabaseUnavailableError,
    LifecycleError,
    OutcomeUnknownError,
    StatementTimeoutError,
)
from tests.support.pgbouncer import find_pgbouncer, pgbouncer
from tests.support.proxy import proxy_to

PID = "select pg_backend_pid()"


@pytest.fixture
def database(postgres_url: str) -> Iterator[PsycopgDatabase]:
    """An open database with a single connection, so that every test sees what the last left."""
    database = PsycopgDatabase(postgres_url, max_size=1)
    database.open()
    yield database
    database.close()


@pytest.fixture
def observer(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def ask(sql: str, *params: object, timeout: float = 10) -> Statement[Any]:
    return Statement("ask", sql, params, one, timeout=timeout)


def tell(sql: str) -> Statement[None]:
    return Statement("tell", sql, (), nothing, several=True)


def script(*statements: Statement[Any]) -> Script[list[Any]]:
    answers: list[Any] = []
    for statement in statements:
        answer = yield statement
        answers.append(answer)
    return answers


# Answers


def test_a_statement_is_answered_by_its_reader(database: PsycopgDatabase) -> None:
    assert database.run(ask("select %s::int + 1", 41)) == 42


def test_several_statements_run_at_once_without_an_answer(database: PsycopgDatabase) -> None:
    database.run(tell("create temp table a (x int); insert into a values (1), (2)"))
    assert database.run(ask("select count(*) from a")) == 2


def test_a_database_that_is_not_open_says_so(postgres_url: str) -> None:
    with pytest.raises(LifecycleError, match="not open"):
        PsycopgDatabase(postgres_url).run(ask("select 1"))


def test_a_closed_database_can_be_opened_again(database: PsycopgDatabase) -> None:
    database.close()
    database.open()
    database.open()
    assert database.run(ask("select 1")) == 1


def test_nothing_is_prepared_by_name(database: PsycopgDatabase) -> None:
    for _ in range(10):
        database.run(ask("select %s::int", 1))
    assert database.run(ask("select count(*) from pg_prepared_statements")) == 0


@pytest.mark.skipif(find_pgbouncer() is None, reason="`make test-pooler` installs pgbouncer")
def test_scripts_work_through_a_pooler_in_transaction_mode(postgres_database_url: str) -> None:
    program = find_pgbouncer()
    assert program is not None
    with pgbouncer(program, postgres_database_url) as pooled:
        database = PsycopgDatabase(pooled + urlsplit(postgres_database_url).path)
        database.open()
        pid = ask(PID)
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: database.transact(script(pid, pid)), range(40)))
        database.close()
    assert all(first == second for first, second in found)


# Transactions


def test_a_script_is_one_transaction(database: PsycopgDatabase) -> None:
    xid = ask("select pg_current_xact_id()::text")
    first, second = database.transact(script(xid, xid))
    assert first == second != database.run(xid)


def test_a_script_that_fails_changes_nothing_and_keeps_the_connection(
    database: PsycopgDatabase,
) -> None:
    database.run(tell("create temp table a (x int)"))
    with pytest.raises(DatabaseDataError):
        database.transact(script(tell("insert into a values (1)"), ask("select 1 / 0")))
    assert database.run(ask("select count(*) from a")) == 0


def test_a_script_reads_what_is_committed_whatever_the_default_is(postgres_url: str) -> None:
    database = PsycopgDatabase(f"{postgres_url}?default_transaction_isolation=serializable")
    database.open()
    level = "select current_setting(%s)"
    assert database.transact(script(ask(level, "transaction_isolation"))) == ["read committed"]
    assert database.run(ask(level, "default_transaction_isolation")) == "serializable"
    database.close()


ON_COMMIT = """
    create temp table a (x int unique deferrable initially deferred);
    create function pg_temp.on_commit() returns trigger language plpgsql as $$ begin
        perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
"""


def test_a_connection_that_breaks_during_commit_leaves_the_outcome_unknown(
    database: PsycopgDatabase,
) -> None:
    trigger = """create constraint trigger a after insert on a deferrable initially deferred
        for each row execute function pg_temp.on_commit()"""
    steps = [tell(ON_COMMIT), tell(trigger), tell("insert into a values (1)")]
    with pytest.raises(OutcomeUnknownError, match="may or may not"):
        database.transact(script(*steps))
    assert database.run(ask("select 1")) == 1


def test_a_commit_that_the_server_refuses_is_known_to_have_failed(
    database: PsycopgDatabase,
) -> None:
    with pytest.raises(DatabaseError) as refused:
        database.transact(script(tell(ON_COMMIT), tell("insert into a values (1), (1)")))
    assert refused.value.sqlstate == "23505"
    assert not isinstance(refused.value, OutcomeUnknownError)


# Deadlines


def test_a_late_statement_is_given_up_and_stopped(
    database: PsycopgDatabase, observer: psycopg.Connection[Any]
) -> None:
    pid = database.run(ask(PID))
    with pytest.raises(StatementTimeoutError, match=r"timed out after 0\.05 s"):
        database.run(ask("select pg_sleep(60)", timeout=0.05))
    busy = "select count(*) from pg_stat_activity where pid = %s and state = 'active'"
    while observer.execute(busy, [pid]).fetchall() != [(0,)]:
        pass
    assert database.run(ask("select 1")) == 1


async def test_a_deadline_holds_while_the_server_is_silent(postgres_url: str) -> None:
    async with proxy_to(postgres_url) as proxy:
        database = PsycopgDatabase(proxy.url, max_size=2)
        await asyncio.to_thread(database.open)
        proxy.freeze()
        with pytest.raises(StatementTimeoutError):
            await asyncio.to_thread(database.run, ask("select 1", timeout=0.05))
        proxy.thaw()
        assert await asyncio.to_thread(database.run, ask("select 2")) == 2
        database.close()


def test_an_exhausted_pool_says_so(database: PsycopgDatabase) -> None:
    def meanwhile() -> Script[None]:
        with pytest.raises(DatabaseUnavailableError, match=r"none of the pool's 1 connections"):
            database.run(ask("select 1", timeout=0.01))
        yield ask("select 1")

    database.transact(meanwhile())


# Loss


def test_a_connection_that_the_server_ended_is_replaced_unseen(
    database: PsycopgDatabase, observer: psycopg.Connection[Any]
) -> None:
    pid = database.run(ask(PID))
    observer.execute("select pg_terminate_backend(%s, 10000)", [pid])
    assert database.run(ask(PID)) != pid


def test_many_connections_that_the_server_ended_are_replaced_at_once(
    postgres_url: str, observer: psycopg.Connection[Any]
) -> None:
    database = PsycopgDatabase(f"{postgres_url}?application_name=ended", max_size=5)
    database.open()
    with ThreadPoolExecutor(5) as threads:
        list(threads.map(lambda _: database.run(ask("select pg_sleep(0.1)")), range(5)))
    observer.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
        " where application_name = 'ended'"
    )
    assert database.run(ask("select 1", timeout=5)) == 1
    database.close()


def test_a_connection_that_broke_in_our_hands_is_an_error_and_the_next_is_new(
    database: PsycopgDatabase,
) -> None:
    with pytest.raises(DatabaseUnavailableError):
        database.run(ask("select pg_terminate_backend(pg_backend_pid())"))
    assert database.run(ask("select 1")) == 1


def test_closing_leaves_no_session_and_closes_what_is_lent_when_it_comes_back(
    postgres_url: str, observer: psycopg.Connection[Any]
) -> None:
    database = PsycopgDatabase(f"{postgres_url}?application_name=closing")
    database.open()

    def closes() -> Script[None]:
        database.close()
        yield ask("select 1")

    database.transact(closes())
    sessions = "select count(*) from pg_stat_activity where application_name = 'closing'"
    while observer.execute(sessions).fetchall() != [(0,)]:
        pass


def test_threads_share_the_pool(postgres_url: str, observer: psycopg.Connection[Any]) -> None:
    database = PsycopgDatabase(f"{postgres_url}?application_name=shared", max_size=3)
    database.open()
    with ThreadPoolExecutor(8) as threads:
        pids = set(threads.map(lambda _: database.run(ask(PID)), range(100)))
    assert 1 <= len(pids) <= 3
    database.close()


# Connecting


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda url: url.replace("/postgres", "/no_such_database"), "does not exist"),
        (lambda url: url + "?no_such_setting=1", "no_such_setting"),
    ],
)
def test_what_trying_again_cannot_mend_is_a_configuration_error(
    postgres_url: str, change: Callable[[str], str], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        PsycopgDatabase(change(postgres_url)).open()


def test_a_server_that_is_away_is_named_without_the_password() -> None:
    database = PsycopgDatabase("postgresql://me:secret@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1:1/none") as away:
        database.open()
    assert "secret" not in str(away.value)


def test_a_url_that_cannot_be_read_is_refused_without_the_password() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as refused:
        PsycopgDatabase("postgresql://me:sec%ret@host:port/x")
    assert "sec" not in str(refused.value)


def test_parameters_of_other_clients_are_left_out_and_settings_reach_the_server() -> None:
    url = "postgres://h/n?pool_max_conns=5&sslmode=require&search_path=a b,c&options=-c x=1"
    settings = psycopg_settings(url, 10)
    assert settings["sslmode"] == "require"
    assert settings["options"] == "-c x=1 -c search_path=a\\ b,c"
    assert "pool_max_conns" not in settings


def test_what_the_url_says_of_the_connection_wins() -> None:
    settings = psycopg_settings("postgresql://h/n?connect_timeout=3&application_name=mine", 10)
    assert (settings["connect_timeout"], settings["application_name"]) == ("3", "mine")


def test_without_psycopg_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    importing = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'")
        return importing(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.startswith("riverrun.drivers.psycopg")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigurationError, match=r"pip install 'riverrun\[psycopg\]'"):
        open_sync_database("postgresql://localhost/x")
