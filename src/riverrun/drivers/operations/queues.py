"""The queues on record: who serves them says so now and then; anybody may pause them."""

from datetime import datetime

from riverrun.drivers.operations.base import OperationGroup
from riverrun.drivers.operations.notifications import NotificationOperations
from riverrun.drivers.rows import all_rows, first_row, queue_reader
from riverrun.drivers.statement import Script, Statement
from riverrun.model.notification import CONTROL, control_payload
from riverrun.model.queue import QueueRow

ALL = "*"
Queues = list[QueueRow]


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

    def _change(self, action: str, name: str, now: datetime | None) -> Script[bool]:
        found = yield self._ask(f"{action}_queue", bool, name=name, now=now)
        if not found and name != ALL:
            return False
        payload = control_payload(action, name)
        yield NotificationOperations(self._dialect).notify(CONTROL, [payload], now=now)
        return True
