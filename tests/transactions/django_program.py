"""What is done in a Django program, all of it in `atomic()`; started by `django_setup`."""

import asyncio
import json
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import django.db
import django.db.transaction
import pytest

from riverrun import Client, DatabaseError, Job, SyncClient, UnsupportedError, Workers
from riverrun.integrations.django import transaction
from tests.support.sqlite import standard_library
from tests.transactions.django_setup import PARTS
from tests.transactions.lent import Lent, run_now
from tests.transactions.observer import Observer, postgres_observer, sqlite_observer
from tests.transactions.operations import JOBS, OPERATIONS, Task, check

# Django comes without types.
connection: Any = django.db.connection
connections: Any = django.db.connections
transactions: Any = django.db.transaction
atomic: Any = transactions.atomic
set_rollback: Any = transactions.set_rollback

EMPTY = ["delete from river_job", "delete from river_queue", "delete from river_leader"]


class Blocks:
    """One `atomic()` after the other; none is left open where something fails in between."""

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(self, *_: object) -> None:
        if connection.in_atomic_block:
            self._undo()

    def commit(self) -> None:
        self._block.__exit__(None, None, None)

    def rollback(self) -> None:
        self._undo()
        self._enter()

    def _undo(self) -> None:
        set_rollback(True)
        self._block.__exit__(None, None, None)

    def _enter(self) -> None:
        self._block = atomic()
        self._block.__enter__()


def ask(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


class Program:
    def __init__(self, url: str, client: SyncClient, observer: Observer) -> None:
        self.url = url
        self.client = client
        self.observer = observer

    @property
    def jobs(self) -> int:
        """As many as another connection sees."""
        return self.observer.see(JOBS)[0][0]

    def operation(self, name: str) -> None:
        with Blocks() as blocks:
            lent = Lent(transaction(), ask, blocks.commit, blocks.rollback)
            run_now(check(OPERATIONS[name], self.client, lent, self.observer))

    def savepoints(self) -> None:
        """A job in an inner block that is rolled back never was; the outer one's stays."""
        with atomic():
            self.client.insert(Task(1), tx=transaction())
            with atomic():
                self.client.insert(Task(2), tx=transaction())
                set_rollback(True)
        assert self.jobs == 1

    def autocommit(self) -> None:
        self.client.insert(Task(1), tx=transaction())
        assert (self.jobs, self.observer.heard()) == (1, ["river_insert"])
        assert connection.get_autocommit()

    def ways_to_say_it(self) -> None:
        for tx in (connection, connections["default"], transaction("default")):
            with atomic():
                self.client.insert(Task(1), tx=tx)
        assert self.jobs == 3

    def wrappers(self) -> None:
        """Whoever watches or forbids queries sees ours; SQLite's go to the connection below."""
        seen: list[str] = []

        def note(execute: Any, sql: str, *rest: Any) -> Any:
            seen.append(sql)
            return execute(sql, *rest)

        with connection.execute_wrapper(note), atomic():
            self.client.insert(Task(1), tx=transaction())
        is_seen = any("insert into river_job" in sql for sql in seen)
        assert is_seen == (connection.vendor == "postgresql")

    def broken_block(self) -> None:
        """Django's own error, and not the one that broke the block."""
        if connection.vendor != "postgresql":
            return
        with atomic():
            set_rollback(True)
            connection.rollback_exc = ValueError("what broke the block")
            with pytest.raises(DatabaseError) as raised:
                self.client.insert(Task(1), tx=transaction())
        assert isinstance(raised.value.__cause__, transactions.TransactionManagementError)

    def asynchronous_client(self) -> None:
        async def insert() -> None:
            await Client(self.url).insert(Task(1), tx=transaction())

        with pytest.raises(UnsupportedError, match="SyncClient"):
            asyncio.run(insert())

    def handler(self) -> None:
        """A handler on a thread completes its job together with its effect."""
        workers, seen = Workers(), list[Any]()

        @workers.work(Task)
        def work(job: Job[Task]) -> None:
            with atomic():
                job.complete_sync(tx=transaction())
                seen.extend(self.observer.see("select state from river_job"))
            seen.extend(self.observer.see("select state from river_job"))
            connections.close_all()

        async def main() -> None:
            client = Client(self.url, workers=workers, queues={"default": 1})
            async with client, client.subscribe() as events:
                await client.insert(Task(1))
                await events.get()

        asyncio.run(main())
        assert seen == [("running",), ("completed",)], seen


@contextmanager
def observing(url: str) -> Generator[Observer]:
    if not url.startswith("sqlite"):
        with postgres_observer(url) as observer:
            yield observer
        return
    with sqlite_observer(url.removeprefix("sqlite:///"), standard_library()) as observer:
        yield observer


def empty(observer: Observer) -> None:
    for statement in EMPTY:
        observer.see(statement)
    if connection.vendor == "postgresql":
        observer.see("alter sequence river_job_id_seq restart")
    else:
        observer.see("delete from sqlite_sequence")
    observer.heard()


def failure(observer: Observer, attempt: Callable[[], None]) -> str:
    """The traceback; nothing if all is well."""
    empty(observer)
    try:
        attempt()
    except BaseException:  # noqa: BLE001 - whatever it is, it is reported
        return traceback.format_exc()
    return ""


def main(url: str) -> None:
    """Print what failed of each thing, as JSON."""
    failures: dict[str, str] = {}
    with SyncClient(url) as client, observing(url) as observer:
        program = Program(url, client, observer)
        for name in OPERATIONS:
            failures[name] = failure(observer, partial(program.operation, name))
        for name in PARTS:
            failures[name] = failure(observer, getattr(program, name))
    print(json.dumps(failures))  # noqa: T201
