"""`client.queues`: look at queues, pause and resume them, and choose at run time which to work."""

from collections.abc import Mapping
from typing import Any

import msgspec

from riverrun.client.asking import Asking
from riverrun.client.served_queues import ServedQueues
from riverrun.model.errors import NotFoundError
from riverrun.model.gojson import encode_metadata
from riverrun.model.job_query import check_limit
from riverrun.model.notification import METADATA_CHANGED, PAUSE, RESUME, ControlMessage
from riverrun.model.queue import QueueConfig, QueueRow
from riverrun.runtime.clock import Clock


class Queues:
    """What the database knows of queues, and which of them this client works.

    With `tx`, a connection of the caller's, a change happens in the caller's transaction.
    """

    def __init__(self, asking: Asking, clock: Clock, served: ServedQueues) -> None:
        self._asking = asking
        self._clock = clock
        self._served = served

    async def get(self, name: str, *, tx: object | None = None) -> QueueRow:
        """The queue; raises `NotFoundError` if no client has served it lately."""
        queue = await self._asking.ask(lambda ops: ops.queues.get(name), tx)
        if queue is None:
            raise _unknown(name)
        return queue

    async def list(self, *, limit: int = 100, tx: object | None = None) -> list[QueueRow]:
        """The first `limit` queues on record (1 to 10,000), by name. Raises `ValidationError`."""
        count = check_limit(limit)
        return await self._asking.ask(lambda ops: ops.queues.list(count), tx)

    async def pause(self, name: str, *, tx: object | None = None) -> None:
        """Stop fetching from the queue, on every client, or from all with "*"; raises `NotFoundError`."""
        now = self._clock.now_or_none()
        if not await self._asking.ask_all(lambda ops: ops.queues.pause(name, now=now), tx):
            raise _unknown(name)
        self._tell(ControlMessage(action=PAUSE, queue=name), tx)

    async def resume(self, name: str, *, tx: object | None = None) -> None:
        """Fetch from the queue again, or from all with "*"; raises `NotFoundError`."""
        now = self._clock.now_or_none()
        if not await self._asking.ask_all(lambda ops: ops.queues.resume(name, now=now), tx):
            raise _unknown(name)
        self._tell(ControlMessage(action=RESUME, queue=name), tx)

    async def update(
        self,
        name: str,
        *,
        metadata: Mapping[str, Any] | str | None = None,
        tx: object | None = None,
    ) -> QueueRow:
        """Give the queue new metadata, a JSON object or its text, and return its row.

        All of the old metadata is replaced, and every client that works the queue is told. Without
        metadata only `updated_at` changes. Raises `NotFoundError`; `PayloadError` for what is no JSON
        object; and on PostgreSQL `ValidationError` for more than about 8 kB, since the metadata
        travels in a notification.
        """
        text = None if metadata is None else encode_metadata(metadata) or "{}"
        now = self._clock.now_or_none()
        queue = await self._asking.ask_all(lambda ops: ops.queues.update(name, text, now=now), tx)
        if queue is None:
            raise _unknown(name)
        if text is not None:
            raw = msgspec.Raw(queue.encoded_metadata.encode())
            self._tell(ControlMessage(action=METADATA_CHANGED, queue=name, metadata=raw), tx)
        return queue

    async def add(self, name: str, queue: QueueConfig | int) -> None:
        """Work one more queue, with these settings or just so many workers, from now on.

        Returns once jobs are fetched from it if the client runs; otherwise the next start begins that.
        The queue stays when the client stops and starts again. Raises `ConfigurationError` for a name
        or settings that cannot work, and for a queue that is worked already; `LifecycleError` on a
        client that works no jobs; `DatabaseError`, and then the queue is not added.

        Example:
            >>> import asyncio
            >>> from riverrun import Client, Workers
            >>> workers = Workers()
            >>> @workers.job()
            ... async def report(month: str) -> None:
            ...     print("report for", month)
            >>> async def main() -> None:
            ...     client = Client("sqlite://:memory:", workers=workers, queues={"default": 10})
            ...     async with client, client.subscribe() as events:
            ...         await client.queues.add("reports", 2)
            ...         await client.insert(report.call("May"), queue="reports")
            ...         await events.get()
            ...         await client.queues.remove("reports")
            >>> asyncio.run(main())
            report for May
        """
        await self._served.add(name, queue)

    async def remove(self, name: str) -> None:
        """Work the queue no more, and return when its running jobs have ended.

        They are not cancelled, and may take as long as they like. Whoever gives up waiting may call
        again; meanwhile nothing is fetched, and the queue cannot be added. Its waiting jobs stay for
        other clients, or until it is added again. Any queue may be removed, even the last one. Raises
        `NotFoundError` if the queue is not worked here, `LifecycleError` on a client that works no
        jobs, and in a job of that very queue, which would wait for itself.
        """
        await self._served.remove(name)

    def _tell(self, message: ControlMessage, tx: object | None) -> None:
        """In the caller's transaction nothing has happened yet, and perhaps never will."""
        if tx is None:
            self._served.hear(message)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"queue {name!r} does not exist; a queue is known once a client serves it")
