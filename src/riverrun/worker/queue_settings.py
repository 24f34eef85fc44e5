"""What the row of one queue says: whether the queue is paused, and its metadata.

    registered at the start, and again every 10 minutes so that it is not forgotten
    heard      in control messages, of which each is newer than whatever was read before
    looked up  every 2 s where nothing can be heard, and when something may have been missed

An answer that was on its way while a message arrived may be older than the message: the question is
asked again.
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from riverrun.drivers.statement import Statement
from riverrun.model.event import Event, EventKind
from riverrun.model.notification import METADATA_CHANGED, PAUSE, RESUME, ControlMessage
from riverrun.model.queue import QueueRow
from riverrun.runtime.handle import DatabaseHandle

logger = logging.getLogger("riverrun.producer")

T = TypeVar("T")

MetadataChanged = Callable[[str, str], None]
"""Called with the name of a queue and its metadata as JSON: at the start and at each change."""


class QueueSettings:
    """One for a producer. `on_resume` is called when the queue is no longer paused."""

    def __init__(
        self,
        queue: str,
        db: DatabaseHandle,
        *,
        publish: Callable[[Event], None] = lambda _event: None,
        on_resume: Callable[[], None] = lambda: None,
        on_metadata: MetadataChanged | None = None,
    ) -> None:
        self.queue = queue
        self.paused = False
        self.metadata = "{}"
        self._db = db
        self._publish = publish
        self._on_resume = on_resume
        self._on_metadata = on_metadata
        self._heard = 0

    async def begin(self) -> datetime:
        """Put the queue on record and take over what its row says; the database's time."""
        row = await self._register()
        self.paused = row.paused
        self.metadata = row.encoded_metadata
        self._tell_metadata()
        return row.updated_at

    async def register(self) -> None:
        """Say that the queue is still served; its row comes back if somebody deleted it."""
        self._apply(await self._register())

    async def look(self) -> None:
        """Read the row; one that is missing changes nothing."""
        row = await self._ask(self._db.operations.queues.get(self.queue))
        if row is not None:
            self._apply(row)

    def hear(self, message: ControlMessage) -> None:
        """Do what a message about this queue says."""
        if message.action in (PAUSE, RESUME):
            self._heard += 1
            self._set_paused(paused=message.action == PAUSE)
        elif message.action == METADATA_CHANGED and bytes(message.metadata):
            self._heard += 1
            self._set_metadata(bytes(message.metadata).decode())
        else:
            logger.debug("ignored control message %r of queue %r", message.action, self.queue)

    async def _register(self) -> QueueRow:
        return await self._ask(
            self._db.operations.queues.upsert(self.queue, now=self._db.now),
        )

    async def _ask(self, statement: Statement[T]) -> T:
        while True:
            heard = self._heard
            answer = await self._db.run(statement)
            if heard == self._heard:
                return answer

    def _apply(self, row: QueueRow) -> None:
        self._set_paused(paused=row.paused)
        self._set_metadata(row.encoded_metadata)

    def _set_paused(self, *, paused: bool) -> None:
        if paused == self.paused:
            return
        self.paused = paused
        kind = EventKind.QUEUE_PAUSED if paused else EventKind.QUEUE_RESUMED
        self._publish(Event(kind=kind, queue=self.queue))
        if not paused:
            self._on_resume()

    def _set_metadata(self, metadata: str) -> None:
        if _canonical(metadata) != _canonical(self.metadata):
            self.metadata = metadata
            self._tell_metadata()

    def _tell_metadata(self) -> None:
        if self._on_metadata is None:
            return
        try:
            self._on_metadata(self.queue, self.metadata)
        except Exception:
            logger.exception("telling of new metadata of queue %r failed", self.queue)


def _canonical(text: str) -> str:
    """The same for what means the same, whatever its blanks and the order of its keys."""
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return text
