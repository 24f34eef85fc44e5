"""The queues on record: who serves them says so now and then; anybody may pause them."""

from datetime import datetime

from riverrun.drivers.operations.base import OperationGroup, first_values
from riverrun.drivers.operations.notifications import NotificationOperations
from riverrun.drivers.rows import all_rows, first_row, job_reader, queue_reader
from riverrun.drivers.statement import DEFAULT_TIMEOUT, Script, Statement
from riverrun.model.errors import ValidationError
from riverrun.model.job import JobRow
from riverrun.model.notification import ALL_QUEUES, CONTROL, control_payload, metadata_payload
from riverrun.model.queue import QueueRow

MAX_PAYLOAD_BYTES = 7999
"""What PostgreSQL lets a notification carry."""
CLAIMED_LIMIT = 10_000

Jobs = list[JobRow]
Queues = list[QueueRow]
Names = list[str]


class QueueOperations(OperationGroup):
    """Pausing and resuming take `*` for every queue."""

    def upsert(self, name: str, *, now: datetime | None = None) -> Statement[QueueRow]:
        """Put the queue on record, or say that it is still served."""
        read = queue_reader(self._dialect)
        return self._ask("upsert_queue", lambda rows: read(rows[0]), name=name, now=now)

    def get(self, name: str) -> Statement[QueueRow | None]:
        """The queue, or None."""
        return self._ask("get_queue", first_row(queue_reader(self._dialect)), name=name)

    def list(self, limit: int = 100) -> Statement[Queues]:
        """The first `limit` queues by name."""
        return self._ask("list_queues", all_rows(queue_reader(self._dialect)), limit=limit)

    def pause(self, name: str, *, now: datetime | None = None) -> Script[bool]:
        """Stop fetching from the queue and tell its clients; false if there is no such queue."""
        return self._change("pause", name, now)

    def resume(self, name: str, *, now: datetime | None = None) -> Script[bool]:
        """Fetch from the queue again and tell its clients; false if there is no such queue."""
        return self._change("resume", name, now)

    def update(
        self, name: str, metadata: str | None = None, *, now: datetime | None = None
    ) -> Script[QueueRow | None]:
        """Say that the queue was touched, and give it new metadata if there is any; None if unknown.

        `metadata` is JSON text. The clients are told of it in a notification, which PostgreSQL limits:
        raises `ValidationError` where it is too long for one.
        """
        payload = None if metadata is None else metadata_payload(name, metadata)
        self._check_length(name, payload)
        read = first_row(queue_reader(self._dialect))
        queue: QueueRow | None = yield self._ask(
            "update_queue", read, name=name, metadata=metadata, now=now
        )
        if queue is not None and payload is not None:
            yield NotificationOperations(self._dialect).notify(CONTROL, [payload], now=now)
        return queue

    def claimed(self, name: str, client_id: str, *, since: datetime) -> Statement[Jobs]:
        """Jobs of the queue that run under a client's name and were claimed at `since` or after."""
        return self._ask(
            "get_claimed_jobs",
            all_rows(job_reader(self._dialect)),
            queue=name,
            client_id=client_id,
            since=since,
            limit=CLAIMED_LIMIT,
        )

    def delete_expired(
        self,
        age: float,
        *,
        limit: int,
        timeout: float = DEFAULT_TIMEOUT,
        now: datetime | None = None,
    ) -> Statement[Names]:
        """Delete up to `limit` queues not served for `age` seconds, by name; the names of those."""
        return self._ask(
            "delete_expired_queues", first_values, timeout=timeout, age=age, limit=limit, now=now
        )

    def _check_length(self, name: str, payload: str | None) -> None:
        size = len((payload or "").encode())
        if self._dialect.is_postgres and size > MAX_PAYLOAD_BYTES:
            raise ValidationError(
                f"metadata of queue {name!r} is too long: it is sent to the clients in a notification, "
                f"which would have {size} bytes and may have {MAX_PAYLOAD_BYTES}"
            )

    def _change(self, action: str, name: str, now: datetime | None) -> Script[bool]:
        found = yield self._ask(f"{action}_queue", bool, name=name, now=now)
        if not found and name != ALL_QUEUES:
            return False
        payload = control_payload(action, name)
        yield NotificationOperations(self._dialect).notify(CONTROL, [payload], now=now)
        return True
