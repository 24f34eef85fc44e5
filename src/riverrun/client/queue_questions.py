"""What `client.queues` asks the database and makes of the answers, as values for both faces."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from riverrun.client.asking import LongQuestion, Question
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Script
from riverrun.model.errors import NotFoundError
from riverrun.model.gojson import encode_metadata
from riverrun.model.job_query import check_limit
from riverrun.model.notification import METADATA_CHANGED, PAUSE, RESUME, ControlMessage
from riverrun.model.queue import QueueRow
from riverrun.runtime.clock import Clock

QueueRows = list[QueueRow]


class QueueQuestions:
    """One for each method of `client.queues` that asks, with the same name.

    A change is answered with what the producers of this process have to hear of it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def get(self, name: str) -> Question[QueueRow]:
        return lambda ops: ops.queues.get(name).then(lambda queue: _found(queue, name))

    def list(self, limit: int) -> Question[QueueRows]:
        count = check_limit(limit)
        return lambda ops: ops.queues.list(count)

    def pause(self, name: str) -> LongQuestion[ControlMessage]:
        return self._change("pause", name)

    def resume(self, name: str) -> LongQuestion[ControlMessage]:
        return self._change("resume", name)

    def update(
        self, name: str, metadata: Mapping[str, Any] | str | None
    ) -> LongQuestion[tuple[QueueRow, ControlMessage | None]]:
        text = None if metadata is None else encode_metadata(metadata) or "{}"
        now = self._clock.now_or_none()

        def script(ops: Operations) -> Script[tuple[QueueRow, ControlMessage | None]]:
            queue = _found((yield from ops.queues.update(name, text, now=now)), name)
            return queue, None if text is None else _metadata_changed(queue)

        return script

    def _change(
        self, action: Literal["pause", "resume"], name: str
    ) -> LongQuestion[ControlMessage]:
        now = self._clock.now_or_none()

        def script(ops: Operations) -> Script[ControlMessage]:
            change = ops.queues.pause if action == "pause" else ops.queues.resume
            if not (yield from change(name, now=now)):
                raise _unknown(name)
            return ControlMessage(action=PAUSE if action == "pause" else RESUME, queue=name)

        return script


def _metadata_changed(queue: QueueRow) -> ControlMessage:
    raw = msgspec.Raw(queue.encoded_metadata.encode())
    return ControlMessage(action=METADATA_CHANGED, queue=queue.name, metadata=raw)


def _found(queue: QueueRow | None, name: str) -> QueueRow:
    if queue is None:
        raise _unknown(name)
    return queue


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"queue {name!r} does not exist; a queue is known once a client serves it")
