"""The queues on record: who serves them says so now and then; anybody may pause them."""

from datetime import datetime

from riverrun.drivers.operations.base import OperationGroup
from riverrun.drivers.operations.notifications import NotificationOperations
from riverrun.drivers.rows import all_rows, first_row, queue_reader
from riverrun.drivers.statement import Script, Statement
from riverrun.model.notification import CONTROL, control_payload
from riverrun.model.queue import QueueRow


class QueueOperations(OperationGroup):
    """`*` as a name stands for every queue where it says so."""

    def upsert(self, name: str, *, now: datetime | None = None) -> Statement[QueueRow]:
        """Put the queue on record, or say that it is still served."""
        read = queue_reader(self._dialect)
        return self._ask("upsert_queue", lambda rows: read(rows[0]), name=name, now=now)

    def get(self, name: str) -> Statement[QueueRow | None]:
        """The queue, or None."""
        return self._ask("get_queue", first_row(queue_reader(self._dialect)), name=name)

    def list(self, limit: int = 100) -> Statement[list[QueueRow]]:
        """The first `limit` queues by name."""
        return self._ask("list_queues", all_rows(queue_reader(self._dialect)), limit=limit)

    def pause(self, name: str, *, now: datetime | None = None) -> "Script[list[QueueRow]]":
        """Stop fetching from the queue, or from `*`; the queues that it concerns, none if unknown."""
        yield from self._must_notify()
        queues = yield self._change("pause_queue", name, now)
        yield from self._tell("pause", name, queues, now)
        return queues

    def resume(self, name: str, *, now: datetime | None = None) -> "Script[list[QueueRow]]":
        """Fetch from the queue again, or from `*`; the queues that it concerns, none if unknown."""
        queues = yield self._change("resume_queue", name, now)
        yield from self._tell("resume", name, queues, now)
        return queues
