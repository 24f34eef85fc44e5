"""Statements and scripts on one connection to a file, run whole by the thread that calls.

Everything here blocks. A statement ends at its deadline, or when nobody wants its result any more;
for a lock that somebody else holds it waits in slices, looking up in between. A transaction begins
IMMEDIATE, so that it waits for the lock before it has read anything, and never fails half way.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from riverrun.drivers.dialect import Dialect, quote_identifier
from riverrun.drivers.sqlite_errors import BROKEN, BUSY, foreign_errors, translated
from riverrun.drivers.sqlite_library import Session, SQLiteLibrary
from riverrun.drivers.sqlite_thread import Wanted
from riverrun.drivers.statement import Script, Statement, drive_sync, last_answer
from riverrun.model.errors import DatabaseError

T = TypeVar("T")

MEMORY = ":memory:"

_SLICE_MS = 100
"""How long SQLite itself waits for a lock before we look whether waiting still makes sense."""

_PAUSE = 0.005
"""Seconds between two tries, for the locks at which SQLite does not wait at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SQLiteOptions:
    """Which file, and how it is to be opened. `path` is absolute, or `:memory:`."""

    path: str
    schema: str | None
    create: bool
    synchronous: Literal["normal", "full"]
    busy_timeout: float

    @property
    def address(self) -> str:
        if self.path == MEMORY:
            return MEMORY
        return f"{Path(self.path).as_uri()}?mode={'rwc' if self.create else 'rw'}"


class SQLiteEngine:
    """One connection, made at the first use and again after it broke. Not for two threads at once."""

    def __init__(self, library: SQLiteLibrary, options: SQLiteOptions) -> None:
        self.dialect = Dialect("sqlite", "?", options.schema)
        self._library = library
        self._foreign = foreign_errors(library)
        self._options = options
        self._session: Session | None = None
        self._file: tuple[int, int] | None = None
        self._deadline = inf
        self._wanted: Wanted = _always
        self._broken = False

    def connect(self, wanted: Wanted) -> None:
        """See to it that there is a connection."""
        with self._turn(wanted):
            pass

    def run(self, statement: Statement[T], wanted: Wanted) -> T:
        """One statement in its own transaction."""
        if statement.several:
            return self.transact(_alone(statement), wanted)
        with self._turn(wanted) as session:
            return self._ask(session, statement)

    def transact(self, script: Script[T], wanted: Wanted) -> T:
        """A script in one transaction, which is undone if anything fails or nobody wants it any more.

        A statement which is all of it commits by itself: it takes the lock before it reads as well.
        """
        with self._turn(wanted) as session:
            try:
                first = next(script)
            except StopIteration as end:
                return cast("T", end.value)
            if first.last:
                return last_answer(script, self._ask(session, first))
            self._command(session, "begin immediate")
            within = _Within(self.dialect, partial(self._ask, session))
            answer = drive_sync(within, script, first)
            if not wanted():
                raise DatabaseError("the transaction was rolled back: its caller has gone")
            self._command(session, "commit")
            return answer

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    @contextmanager
    def _turn(self, wanted: Wanted) -> Generator[Session]:
        """The connection, for one run; leaves no transaction open and keeps no broken connection."""
        self._wanted = wanted
        self._broken = False
        self._check_file()
        try:
            session = self._session = self._session or self._open()
            try:
                yield session
            finally:
                self._roll_back(session)
        finally:
            if self._broken and self._options.path != MEMORY:
                self.close()

    def _roll_back(self, session: Session) -> None:
        self._deadline = inf
        self._wanted = _always
        if session.in_transaction:
            self._command(session, "rollback")

    def _ask(self, session: Session, statement: Statement[T]) -> T:
        work = partial(execute, session, statement)
        return statement.read(self._patiently(work, statement.name, statement.timeout))

    def _command(self, session: Session, sql: str) -> list[tuple[Any, ...]]:
        return self._patiently(partial(session.execute, sql), sql, inf)

    def _patiently(self, work: Callable[[], T], what: str, timeout: float) -> T:
        """Do `work` again while somebody else holds the lock, but only so long."""
        started = time.monotonic()
        self._deadline = started + timeout
        while True:
            try:
                return work()
            except self._foreign as error:
                waited = time.monotonic() - started
                if not self._may_wait(error, min(timeout, self._options.busy_timeout) - waited):
                    raise self._meant(error, what, waited) from error
            time.sleep(_PAUSE)

    def _may_wait(self, error: Exception, left: float) -> bool:
        return self._library.code(error) in BUSY and left > 0 and self._wanted()

    def _meant(self, error: Exception, what: str, waited: float) -> Exception:
        self._broken = self._broken or self._library.code(error) in BROKEN
        return translated(error, self._library, what=what, path=self._options.path, waited=waited)

    def _given_up(self) -> bool:
        return time.monotonic() > self._deadline or not self._wanted()

    def _open(self) -> Session:
        """A new connection, ready for use."""
        session = self._patiently(self._connect, "open", inf)
        try:
            self._prepare(session)
        except BaseException:
            session.close()
            raise
        if self._options.path != MEMORY:
            self._file = _identity(self._options.path)
        return session

    def _connect(self) -> Session:
        return self._library.open(MEMORY if self._attaches else self._options.address)

    def _prepare(self, session: Session) -> None:
        session.stop_when(self._given_up)
        self._command(session, f"pragma busy_timeout = {_SLICE_MS}")
        schema = "main"
        if self._attaches:
            schema = quote_identifier(self._options.schema or "")
            attach = partial(session.execute, f"attach ? as {schema}", [self._options.address])
            self._patiently(attach, "attach", inf)
        if self._options.path != MEMORY:
            self._command(session, f"pragma {schema}.journal_mode = wal")
        self._command(session, f"pragma {schema}.synchronous = {self._options.synchronous}")

    @property
    def _attaches(self) -> bool:
        return self._options.schema not in {None, "main"}

    def _check_file(self) -> None:
        """SQLite goes on writing to a file that has no name any more; nobody would see those rows."""
        if self._file is not None and _identity(self._options.path) != self._file:
            raise DatabaseError(
                f"the SQLite file {self._options.path} was deleted or replaced while it was open: "
                "put it back, or start again with the new one"
            )


@dataclass(frozen=True, slots=True)
class _Within:
    """The face that scripts see."""

    dialect: Dialect
    ask: Callable[[Statement[Any]], Any]

    def run(self, statement: Statement[T], /) -> T:
        return cast(T, self.ask(statement))


def execute(session: Session, statement: Statement[Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement, in whatever transaction the session is."""
    statement.check()
    if statement.several:
        session.execute_several(statement.sql)
        return []
    return session.execute(statement.sql, statement.params)


def _alone(statement: Statement[T]) -> Script[T]:
    return cast(T, (yield statement))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _always() -> bool:
    return True
