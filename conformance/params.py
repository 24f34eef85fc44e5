"""What each method may be given. Null, zero and nothing mean the same; what is not named here is refused."""

import re
from datetime import UTC, datetime
from typing import Literal

import msgspec

from conformance.rpc import WrongParams

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII
)
_ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No params."""


class InSchema(msgspec.Struct, forbid_unknown_fields=True):
    """Params of what is done in some schema, perhaps in a transaction that was begun before."""

    schema: str | None = None
    tx: str | None = None


class Migrate(msgspec.Struct, forbid_unknown_fields=True):
    direction: Literal["up", "down"]
    schema: str | None = None
    target_version: int | None = None


class Unique(msgspec.Struct, forbid_unknown_fields=True):
    by_args: bool | None = None
    by_period_ms: int | None = None
    by_queue: bool | None = None
    by_state: list[str] | None = None
    exclude_kind: bool | None = None


class Options(msgspec.Struct, forbid_unknown_fields=True):
    max_attempts: int | None = None
    metadata: msgspec.Raw = msgspec.Raw()
    pending: bool | None = None
    priority: int | None = None
    queue: str | None = None
    scheduled_at: str | None = None
    tags: list[str] | None = None
    unique: Unique | None = None


class InsertJob(msgspec.Struct, forbid_unknown_fields=True):
    behavior: str | None = None
    duration_ms: int | None = None
    message: str | None = None
    opts: Options | None = None


class Insert(InSchema):
    jobs: list[InsertJob] | None = None


class ListJobs(InSchema):
    after: str | None = None
    direction: Literal["", "asc", "desc"] | None = None
    ids: list[int] | None = None
    kinds: list[str] | None = None
    limit: int | None = None
    metadata: msgspec.Raw = msgspec.Raw()
    order_by: Literal["", "id", "scheduled_at", "finalized_at", "time"] | None = None
    priorities: list[int] | None = None
    queues: list[str] | None = None
    states: list[str] | None = None
    tags_all: list[str] | None = None


class JobControl(InSchema):
    id: int | None = None


class QueueControl(InSchema):
    action: Literal["pause", "resume", "update"] | None = None
    name: str | None = None
    metadata: msgspec.Raw = msgspec.Raw()


class Tuning(msgspec.Struct, forbid_unknown_fields=True):
    """Faster maintenance, which riverrun has no options for; the tests go without as well."""

    elect_interval_ms: int | None = None
    rescuer_interval_ms: int | None = None
    scheduler_interval_ms: int | None = None


class Start(msgspec.Struct, forbid_unknown_fields=True):
    client_id: str | None = None
    queues: list[str] | None = None
    max_workers: int | None = None
    worker_kinds: list[str] | None = None
    fetch_only_known_kinds: bool | None = None
    fetch_poll_interval_ms: int | None = None
    poll_only: bool | None = None
    job_timeout_ms: int | None = None
    rescue_after_ms: int | None = None
    retry_delay_ms: int | None = None
    error_handler_cancel: bool | None = None
    leader_election_disabled: bool | None = None
    periodic_run_on_start: bool | None = None
    periodic_unique: bool | None = None
    claim_barrier: str | None = None
    schema: str | None = None
    tuning: Tuning | None = None


class Stop(msgspec.Struct, forbid_unknown_fields=True):
    cancel: bool | None = None


class Release(msgspec.Struct, forbid_unknown_fields=True):
    name: str | None = None


class TxBegin(msgspec.Struct, forbid_unknown_fields=True):
    tx: str | None = None


class TxEnd(msgspec.Struct, forbid_unknown_fields=True):
    tx: str | None = None
    commit: bool | None = None


def object_text(name: str, raw: msgspec.Raw) -> str | None:
    """The text of a JSON object, number by number as it was sent; None where there is none."""
    text = bytes(raw).decode()
    if text in ("", "null"):
        return None
    if text[0] != "{":
        raise WrongParams(f"{name} must be an object")
    return text


def time_of(name: str, text: str | None) -> datetime | None:
    """An RFC 3339 time, of which digits beyond microseconds are dropped; None where there is none."""
    if not text:
        return None
    match = _TIME.match(text)
    if match is None:
        raise WrongParams(f"{name}: {text!r} is not an RFC 3339 time")
    second, fraction, zone = match.groups()
    try:
        time = datetime.fromisoformat(f"{second}.{(fraction or '').ljust(6, '0')}{zone}".upper())
    except ValueError as error:
        raise WrongParams(f"{name}: {error}") from error
    return None if time == _ZERO_TIME else time
