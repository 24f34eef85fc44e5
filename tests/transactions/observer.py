"""A second connection, which sees and hears only what is committed."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any, Protocol

import psycopg

from riverrun.drivers.sqlite_library import Session, SQLiteLibrary
from riverrun.model.notification import TOPICS

_MARK = "public.end_of_test"


class Observer(Protocol):
    def see(self, sql: str) -> list[tuple[Any, ...]]:
        """What a statement of its own answers; it commits."""
        ...

    def heard(self) -> list[str]:
        """The topics of all notifications committed since the last call."""
        ...


class PostgresObserver:
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        for topic in (*(f"public.{topic}" for topic in TOPICS), _MARK):
            connection.execute(f'listen "{topic}"'.encode())

    def see(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []

    def heard(self) -> list[str]:
        """Notifications come in the order of their commits: all that came before our own are here."""
        self._connection.execute("select pg_notify(%s, '')", [_MARK])
        topics: list[str] = []
        for notification in self._connection.notifies():
            if notification.channel == _MARK:
                break
            topics.append(notification.channel.removeprefix("public."))
        return topics


class SQLiteObserver:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._mark = 0

    def see(self, sql: str) -> list[tuple[Any, ...]]:
        return self._session.execute(sql)

    def heard(self) -> list[str]:
        sql = "select id, topic from river_notification where id > ?1 order by id"
        rows = self._session.execute(sql, [self._mark])
        self._mark = max([self._mark, *(number for number, _ in rows)])
        return [topic for _, topic in rows]


@contextmanager
def postgres_observer(url: str) -> Generator[Observer]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield PostgresObserver(connection)


@contextmanager
def sqlite_observer(path: str, library: SQLiteLibrary) -> Generator[Observer]:
    with closing(library.open(f"file:{path}")) as session:
        session.execute("pragma busy_timeout = 5000")
        yield SQLiteObserver(session)
