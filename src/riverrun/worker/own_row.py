"""The row of the job that is being worked, written by its handler in the handler's own transaction.

What is written holds if and only if that transaction commits, together with all else in it. Every
write names the attempt: once the job runs again elsewhere, it has no effect and raises.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.foreign import adopt_sync
from riverrun.drivers.operations.checkpoint_jobs import JobCheckpoints
from riverrun.drivers.operations.control_jobs import JobControls
from riverrun.drivers.operations.work_jobs import Fence
from riverrun.drivers.sqlite_lent import must_be_awaited
from riverrun.drivers.statement import (
    Connection,
    Script,
    Statement,
    SyncConnection,
    drive,
    drive_sync,
)
from riverrun.model.errors import LifecycleError, NotFoundError, UnsupportedError
from riverrun.model.gojson import encode_json
from riverrun.model.job import JobRow, JobState
from riverrun.runtime.handle import DatabaseHandle
from riverrun.worker.resumable import Checkpoint

T = TypeVar("T")


class OwnRow:
    """For one attempt: `row` as it was claimed."""

    __slots__ = ("_db", "_row")

    def __init__(self, db: DatabaseHandle, row: JobRow) -> None:
        self._db = db
        self._row = row

    async def complete(self, tx: object, metadata: dict[str, Any] | None) -> JobRow:
        """Complete the job in `tx`; the row as it is then.

        Raises `NotFoundError` if the row is gone, `LifecycleError` if the job is not running, or not
        in this attempt.
        """
        connection = self._db.database.adopt(tx)
        return await drive(connection, self._complete(connection.dialect, metadata))

    def complete_sync(self, tx: object, metadata: dict[str, Any] | None) -> JobRow:
        """The same on a synchronous connection."""
        connection = self._adopt_sync(tx)
        return drive_sync(connection, self._complete(connection.dialect, metadata))

    async def checkpoint(self, tx: object, checkpoint: Checkpoint) -> JobRow:
        """Write how far the steps have come in `tx`; raises what `complete` does."""
        connection = self._db.database.adopt(tx)
        return await drive(connection, self._checkpoint(connection.dialect, checkpoint))

    def checkpoint_sync(self, tx: object, checkpoint: Checkpoint) -> JobRow:
        """The same on a synchronous connection."""
        connection = self._adopt_sync(tx)
        return drive_sync(connection, self._checkpoint(connection.dialect, checkpoint))

    async def metadata(self) -> Mapping[str, Any] | None:
        """What the row says now; None if the database cannot be asked, or the row is gone."""
        try:
            row = await self._db.run(self._db.operations.jobs.get(self._row.id))
            metadata = None if row is None else row.metadata
        except BaseException:  # noqa: BLE001 - whatever it is, a cancellation too, the attempt ends
            return None
        return metadata

    def _complete(self, dialect: Dialect, metadata: dict[str, Any] | None) -> Script[JobRow]:
        def complete() -> Script[JobRow | None]:
            return JobCheckpoints(dialect).complete_early(
                self._fence, metadata=metadata, now=self._db.now
            )

        return (yield from self._write(dialect, complete))

    def _checkpoint(self, dialect: Dialect, checkpoint: Checkpoint) -> Script[JobRow]:
        cursors = dict(checkpoint.cursors)
        text = encode_json(cursors, name="resumable cursors") if cursors else None

        def write() -> Script[JobRow | None]:
            row: JobRow | None = yield JobCheckpoints(dialect).checkpoint(
                self._fence, step=checkpoint.step, cursors=text
            )
            return row

        return (yield from self._write(dialect, write))

    def _write(
        self, dialect: Dialect, write: Callable[[], Script[JobRow | None]]
    ) -> Script[JobRow]:
        """The row as it is after `write`; raises the reason why nothing could be written.

        In a burst the job is `available` until its round is over, which its lock tells us, and from
        then on it is running as any other.
        """
        row = yield from write()
        if row is None and (yield from self._waited_for_round(dialect)):
            row = yield from write()
        return row or (yield from self._explain(dialect))

    def _waited_for_round(self, dialect: Dialect) -> Script[bool]:
        """Whether the job may be running by now, which it was not yet."""
        row: JobRow | None = yield JobControls(dialect).get(self._row.id)
        if row is None or row.state is not JobState.AVAILABLE:
            return False
        yield JobCheckpoints(dialect).wait_for_lock(self._row.id)
        return True

    def _explain(self, dialect: Dialect) -> Script[JobRow]:
        """Raise for the reason why nothing could be written."""
        row: JobRow | None = yield JobControls(dialect).get(self._row.id)
        if row is None:
            raise NotFoundError(f"job {self._row.id} does not exist; it was deleted while it ran")
        if row.state is not JobState.RUNNING:
            raise LifecycleError(f"job must be running: job {row.id} is {row.state}")
        raise LifecycleError(
            f"job must be running: job {row.id} was taken from this attempt and is worked again"
        )

    @property
    def _fence(self) -> Fence:
        assert self._row.attempted_at is not None, "a claimed row has its time of claim"  # noqa: S101
        return self._row.id, self._row.attempt, self._row.attempted_at

    def _adopt_sync(self, tx: object) -> SyncConnection:
        database = self._db.database
        if database.dialect.is_postgres:
            return adopt_sync(tx, database.dialect.schema, database.dialect.server)
        if must_be_awaited(tx):
            raise UnsupportedError(
                "`tx` is asynchronous, and this is a synchronous call: give a synchronous connection"
            )
        return _NeverWaiting(database.adopt(tx))


class _NeverWaiting:
    """SQLite's connection without its `async`: it works where it is called and awaits nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect

    def run(self, statement: Statement[T], /) -> T:
        return _result(self._connection.run(statement))


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise AssertionError("a connection that was said never to wait did")
