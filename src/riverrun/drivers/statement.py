"""The ports between what we ask and who runs it.

A question to the database is a `Statement`: text, parameters, and how its rows are read. Where one
statement does not do, the question is a `Script`: a generator that yields statements, is sent their
answers, and returns its own. Nothing between two statements of a script ever waits for anything but
the database, so that no transaction of ours is open while user code runs. The one exception is asked
for by name: `HoldingDatabase.hold`.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar, cast, runtime_checkable

from riverrun.drivers.dialect import Dialect

T = TypeVar("T")
U = TypeVar("U")
Row = Sequence[Any]

DEFAULT_TIMEOUT = 30.0
"""Seconds after which a statement that says nothing else is given up."""


@dataclass(frozen=True, slots=True)
class Statement(Generic[T]):
    """One question: `params` are already encoded for the dialect, in the order the text wants them.

    With `several`, the text holds any number of statements, no parameters and no answer (migrations).
    A script may yield one that is `last`: nothing follows it, so that where nothing came before it, it
    needs no transaction around it.
    `check` is called when a connection is there, right before the statement is sent, on any thread; what
    it raises keeps it from being sent.
    """

    name: str
    sql: str
    params: Sequence[Any]
    read: Callable[[Sequence[Row]], T]
    timeout: float = DEFAULT_TIMEOUT
    several: bool = False
    last: bool = False
    check: Callable[[], None] = lambda: None

    def then(self, change: Callable[[T], U]) -> "Statement[U]":
        """The same question, whose answer is what `change` makes of the answer."""

        def read(rows: Sequence[Row]) -> U:
            return change(self.read(rows))

        return replace(cast("Statement[U]", self), read=read)


Script = Generator[Statement[Any], Any, T]
"""Several statements that belong in one transaction."""


class Connection(Protocol):
    """One open connection, perhaps inside somebody's transaction."""

    @property
    def dialect(self) -> Dialect: ...

    async def run(self, statement: Statement[T], /) -> T:
        """Run one statement; raises a `DatabaseError`."""
        ...


class SyncConnection(Protocol):
    """The same for programs without an event loop."""

    @property
    def dialect(self) -> Dialect: ...

    def run(self, statement: Statement[T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Notification:
    """One message: `topic` is bare, without the schema."""

    topic: str
    payload: str


class Listener(Protocol):
    """A connection that hears notifications."""

    async def listen(self, topics: Sequence[str], deliver: Callable[[Notification], None]) -> None:
        """Connect and subscribe; calls `deliver` on the loop from now on. May be called once."""
        ...

    async def wait_lost(self) -> None:
        """Return when the connection is known to be dead; probes it now and then."""
        ...

    async def close(self) -> None:
        """Let the connection go, at once and whatever state it is in."""
        ...


@runtime_checkable
class Database(Protocol):
    """One database: what a client holds. Making one connects to nothing."""

    @property
    def dialect(self) -> Dialect: ...

    async def open(self) -> None:
        """Connect; raises `DatabaseUnavailableError` or `ConfigurationError`. Harmless twice."""
        ...

    async def close(self) -> None: ...

    async def run(self, statement: Statement[T], /) -> T:
        """Run one statement on a connection of our own, in its own transaction."""
        ...

    async def transact(self, script: Script[T], /) -> T:
        """Run a script in one transaction of our own."""
        ...

    def listener(self) -> Listener | None:
        """A new listener, or None where this database cannot be listened to."""
        ...

    def reserved(self) -> "Database":
        """Another way to the same database, not open yet, that its other users cannot use up.

        Itself where there is no other: whoever asks opens and closes it only if it is another.
        """
        ...

    def adopt(self, tx: object, /) -> Connection:
        """The caller's own connection or transaction; raises `UnsupportedError` for unknown types."""
        ...


@runtime_checkable
class HoldingDatabase(Database, Protocol):
    """A database that others can go on using while a transaction of ours is open."""

    async def hold(self, work: Callable[[Connection], Awaitable[T]], /) -> T:
        """Have `work` done in one transaction of our own, whatever else it waits for meanwhile."""
        ...


@runtime_checkable
class SyncDatabase(Protocol):
    """The same for programs without an event loop; for any number of threads at once."""

    @property
    def dialect(self) -> Dialect: ...

    def open(self) -> None: ...

    def close(self) -> None: ...

    def run(self, statement: Statement[T], /) -> T: ...

    def transact(self, script: Script[T], /) -> T: ...

    def adopt(self, tx: object, /) -> SyncConnection: ...

    def asynchronous(self) -> Database:
        """The same database for an event loop; what one of them writes, the other sees at once.

        It is opened and closed by itself. Of SQLite in memory both are the same connection.
        """
        ...


def one(rows: Sequence[Row]) -> Any:
    """The only value of the only row."""
    return rows[0][0]


def nothing(_rows: Sequence[Row]) -> None:
    """For statements whose answer does not matter."""


async def drive(
    connection: Connection, script: Script[T], first: Statement[Any] | None = None
) -> T:
    """Run a script's statements one after the other on `connection`, in whatever transaction it is.

    `first` is the one that was asked of the script already, if there is one.
    """
    answer: Any = None
    try:
        if first is not None:
            answer = await connection.run(first)
        while True:
            answer = await connection.run(script.send(answer))
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        script.close()


def last_answer(script: Script[T], answer: object) -> T:
    """What a script returns, given the answer to its last statement."""
    try:
        script.send(answer)
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        script.close()
    raise RuntimeError("the script goes on after its last statement")


def drive_sync(
    connection: SyncConnection, script: Script[T], first: Statement[Any] | None = None
) -> T:
    """`drive` for programs without an event loop."""
    answer: Any = None
    try:
        if first is not None:
            answer = connection.run(first)
        while True:
            answer = connection.run(script.send(answer))
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        script.close()
