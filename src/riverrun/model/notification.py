"""The messages that River's clients send each other, and how they are read.

All are JSON objects on three topics. Whatever is not understood is ignored: anybody who may connect
can send one.
"""

import json
from typing import Any

import msgspec

from riverrun.model.errors import ValidationError

INSERT = "river_insert"
CONTROL = "river_control"
LEADERSHIP = "river_leadership"
TOPICS = (INSERT, CONTROL, LEADERSHIP)

CANCEL = "cancel"
PAUSE = "pause"
RESUME = "resume"
METADATA_CHANGED = "metadata_changed"
MAX_TARGET_BYTES = 127

ALL_QUEUES = "*"
"""In the place of a queue's name: every queue."""


class ControlMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`cancel` names a job; `pause`, `resume` and `metadata_changed` name a queue, or `*` for all.

    `metadata` is JSON, as it was sent; empty where the message has none.
    """

    action: str
    queue: str = ""
    job_id: int = 0
    metadata: msgspec.Raw = msgspec.Raw()

    @classmethod
    def read(cls, payload: str) -> "ControlMessage | None":
        """The message, or None for anything else; unknown keys are ignored."""
        try:
            return _control.decode(payload)
        except msgspec.DecodeError:
            return None


class LeadershipMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`resigned` by a leader that steps down; `request_resign` to whoever leads."""

    action: str
    leader_id: str = ""
    elected_at: str = ""
    """Which term is meant, as its client writes it; empty in messages of other clients."""

    @classmethod
    def read(cls, payload: str) -> "LeadershipMessage | None":
        """The message, or None for anything else; unknown keys are ignored."""
        try:
            return _leadership.decode(payload)
        except msgspec.DecodeError:
            return None


_control = msgspec.json.Decoder(ControlMessage)
_leadership = msgspec.json.Decoder(LeadershipMessage)


def insert_payload(queue: str) -> str:
    """What an inserting client sends: there are jobs in `queue`."""
    return json.dumps({"queue": queue})


def control_payload(action: str, queue: str, **rest: Any) -> str:
    """What is sent when a queue is paused or resumed, or a job cancelled."""
    return json.dumps({"action": action, **rest, "queue": queue}, separators=(",", ":"))


def request_resign_payload(leader_id: str | None = None, elected_at: str | None = None) -> str:
    """What asks a leader to step down: whoever leads, or one by its id and perhaps its very term.

    Clients of River know the first alone, and take the others for it. Raises `ValidationError` for
    what names nobody: an empty id would ask whoever leads.
    """
    for name, value in (("leader_id", leader_id), ("elected_at", elected_at)):
        if value is not None and not 1 <= len(value.encode()) <= MAX_TARGET_BYTES:
            raise ValidationError(
                f"{name}: {value!r} must have 1 to {MAX_TARGET_BYTES} bytes; None asks whoever leads"
            )
    term = {} if elected_at is None else {"elected_at": elected_at}
    message = {"action": "request_resign", "leader_id": leader_id or "", **term}
    return json.dumps(message, separators=(",", ":"))


def metadata_payload(queue: str, metadata: str) -> str:
    """What is sent when a queue has new metadata, which goes in as the JSON it is."""
    raw = msgspec.Raw(metadata.encode())
    message = {"action": METADATA_CHANGED, "metadata": raw, "queue": queue}
    return msgspec.json.encode(message).decode()
