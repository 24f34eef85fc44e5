"""Messages between clients: PostgreSQL's NOTIFY, or rows of an outbox on SQLite."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from riverrun.drivers.operations.base import OperationGroup
from riverrun.drivers.statement import DEFAULT_TIMEOUT, Statement, nothing


class NotificationOperations(OperationGroup):
    """Messages arrive when the transaction that sends them is committed."""

    def notify(
        self, topic: str, payloads: Sequence[str], *, now: datetime | None = None
    ) -> Statement[None]:
        """Send each payload to whoever listens to `topic`."""
        return self._ask(
            "notify",
            nothing,
            schema=self._dialect.schema,
            topic=topic,
            payloads=self._list(payloads),
            now=now,
        )

    def delete_before(
        self,
        age: timedelta,
        *,
        limit: int = 10_000,
        timeout: float = DEFAULT_TIMEOUT,
        now: datetime | None = None,
    ) -> Statement[int]:
        """Delete up to `limit` rows older than `age`, the oldest first; how many it were."""
        return self._ask(
            "delete_notifications",
            len,
            timeout=timeout,
            age=age.total_seconds(),
            limit=limit,
            now=now,
        )
