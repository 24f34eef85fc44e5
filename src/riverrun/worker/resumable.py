"""How far a job of several steps has come, kept in its metadata so that a later attempt goes on there.

    river:resumable_step     the last step that was completed: it and all before it are skipped
    river:resumable_cursor   {step: cursor}: where steps that count for themselves go on

`Progress` is one attempt's view of it: which steps run, and, if the attempt does not succeed, what its
end writes. A success writes nothing. Pure: `steps.py` calls the functions, `own_row.py` the database.

A checkpoint is written in the caller's transaction, which may be rolled back after all. As long as its
step has not ended, only the row can tell what became of it; `settle` is told what the row says.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import msgspec

from riverrun.model.errors import LifecycleError, PayloadError, ValidationError
from riverrun.model.gojson import encode_json

STEP_KEY = "river:resumable_step"
CURSOR_KEY = "river:resumable_cursor"

NO_CURSOR: Any = object()
"""Where there is no cursor: None would be one."""

CURSOR_OUTSIDE = (
    "river: resumable cursor can only be used within ResumableStepCursor: call it from the function "
    "given to job.step_cursor"
)


class Checkpoint(NamedTuple):
    """What the row is to say while a step runs: the step counts as completed, save for its cursor."""

    step: str
    cursors: Mapping[str, Any]


class Progress:
    """The steps of one attempt at a job with this metadata."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._skipping_to, self._stored = _read(metadata)
        self._cursors = dict(self._stored)
        self._cursors_in_row = bool(self._stored)
        self._checkpointed = False
        self._seen: set[str] = set()
        self._running: tuple[str, bool] | None = None
        self._completed: str | None = None
        self._checkpoint: str | None = None
        self._before: dict[str, Any] = {}
        self._unknown = False

    @contextmanager
    def step(self, name: str, *, takes_cursor: bool = False) -> Generator[bool, None, None]:
        """Around a step: whether it is to be run. It is completed if nothing is raised within.

        Raises `ValidationError` for a name that was used before, also by a step that was skipped, and
        for a step within another.
        """
        if not self._begin(name, takes_cursor=takes_cursor):
            yield False
            return
        self._running = name, takes_cursor
        try:
            yield True
            self._complete(name)
        finally:
            self._running = None

    def cursor(self, name: str) -> Any:
        """Where the step is to go on, or `NO_CURSOR`."""
        return self._cursors.get(name, NO_CURSOR)

    def set_cursor(self, value: Any) -> None:
        """Have the step that is running go on there; raises outside one that takes a cursor."""
        name = self._cursor_step()
        self._cursors[name] = _as_json(value)
        self._before.pop(name, None)

    def checkpoint(self, cursor: Any = NO_CURSOR) -> Checkpoint:
        """What to write for the step that is running; raises outside a step.

        From now on it is in doubt: the write may fail or be given up, and its transaction end anyhow.
        """
        if self._running is None:
            raise LifecycleError(
                "not inside a resumable step; must be called from within job.step or "
                "job.step_cursor"
            )
        name, _ = self._running
        if cursor is not NO_CURSOR:
            value = _as_json(cursor)
            self._before.setdefault(self._cursor_step(), self.cursor(name))
            self._cursors[name] = value
        self._checkpoint = name
        self._checkpointed = True
        self._cursors_in_row = self._cursors_in_row or bool(self._cursors)
        return Checkpoint(name, dict(self._cursors))

    @property
    def in_doubt(self) -> bool:
        """Whether only the row can tell how far the job has come."""
        return self._checkpoint is not None

    def settle(self, metadata: Mapping[str, Any] | None) -> None:
        """What the row says of checkpoints in doubt; None if it could not be asked.

        Then nothing is written about steps: what the row says is right, if perhaps not all.
        """
        if metadata is None:
            self._unknown = True
            return
        step, cursors = _read(metadata)
        if step == self._checkpoint:
            self._completed = step
        for name, before in self._before.items():
            in_row = cursors.get(name, NO_CURSOR)
            committed = in_row is not NO_CURSOR and in_row != self._stored.get(name, NO_CURSOR)
            self._put_cursor(name, in_row if committed else before)
        self._checkpoint = None
        self._before.clear()

    def updates(self) -> dict[str, Any]:
        """The metadata to write when the attempt ends in anything but success."""
        if self._unknown:
            return {}
        updates: dict[str, Any] = {}
        if self._completed is not None:
            updates[STEP_KEY] = self._completed
        if self._cursors != self._stored or (self._checkpointed and self._cursors_in_row):
            updates[CURSOR_KEY] = self._cursors or None
        return updates

    def check_end(self) -> None:
        """Raise if an attempt without an error never came to the step that it was to go on after."""
        if self._skipping_to is not None:
            raise LifecycleError(f'river: resumable step "{self._skipping_to}" not found in Worker')

    def _begin(self, name: str, *, takes_cursor: bool) -> bool:
        self._check_name(name)
        self._seen.add(name)
        if self._skipping_to is None:
            return True
        if name != self._skipping_to:
            return False
        self._skipping_to = None
        self._completed = name
        return takes_cursor and name in self._cursors

    def _check_name(self, name: str) -> None:
        if not name:
            raise ValidationError("a resumable step needs a name that is not empty")
        encode_json(name, name="name of a resumable step")
        if self._running is not None:
            raise ValidationError(
                f'river: resumable step "{name}" cannot begin while step "{self._running[0]}" runs; '
                f"steps run one after the other"
            )
        if name in self._seen:
            raise ValidationError(f'river: duplicate resumable step name "{name}"')

    def _complete(self, name: str) -> None:
        self._completed = name
        self._checkpoint = None
        self._before.pop(name, None)
        self._put_cursor(name, NO_CURSOR)

    def _cursor_step(self) -> str:
        if self._running is None or not self._running[1]:
            raise LifecycleError(CURSOR_OUTSIDE)
        return self._running[0]

    def _put_cursor(self, name: str, value: Any) -> None:
        if value is NO_CURSOR:
            self._cursors.pop(name, None)
        else:
            self._cursors[name] = value


def _read(metadata: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    step, cursors = metadata.get(STEP_KEY), _members(metadata.get(CURSOR_KEY))
    return step if isinstance(step, str) and step else None, dict(cursors or {})


def decode_cursor(name: str, value: Any, cursor_type: Any) -> Any:
    """A stored cursor as `cursor_type`; raises `PayloadError`."""
    try:
        return msgspec.convert(value, cursor_type)
    except (msgspec.ValidationError, TypeError) as error:
        raise PayloadError(
            f'river: unmarshal resumable cursor for step "{name}": {error}'
        ) from error


def _as_json(value: Any) -> Any:
    """A cursor as it will be read back; None is refused, since databases differ about it."""
    if value is None:
        raise PayloadError("a resumable cursor cannot be None; do not set it, or use another value")
    return msgspec.json.decode(encode_json([value], name="resumable cursor"))[0]


def _members(value: Any) -> Mapping[str, Any] | None:
    """The members of a JSON object; None for anything else."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None
