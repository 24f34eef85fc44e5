"""A periodic job: when it is due, and what is inserted each time."""

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import KW_ONLY, dataclass, fields
from datetime import datetime
from typing import Any, cast

import msgspec

from riverrun.model.errors import ConfigurationError, ValidationError
from riverrun.model.insert import NO_OPTIONS, InsertOptions, as_utc, insert_options
from riverrun.model.names import check_kind
from riverrun.model.schedule import Schedule

MAX_ID_BYTES = 128
_ID_RULE = r"\A[\w][\w\-\[\]<>\/.·:+]+\z"


@dataclass(frozen=True, slots=True)
class PeriodicJob:
    """A job that the client which leads inserts again and again.

    - `schedule`: when. `every("15m")`, `cron("0 9 * * mon-fri", tz="Europe/Oslo")`, `never()`, or
      anything with such a method `next`.
    - `constructor`: called each time the job is due, without arguments, for what to insert then: args,
      `(args, InsertOptions(...))`, an `InsertManyParams`, or None for nothing this time. A class of args
      all of whose fields have defaults will do. It runs on the event loop, so it must be quick. If it
      raises, that is logged and nothing is inserted this time.
    - `id`: a name for the job, fewer than 128 bytes, by the rule for kinds. It is written to the
      metadata of what is inserted, and lets the job be removed by name. No two jobs share one. With an
      id each time happens once, whoever leads: the database keeps when the job is due next, and times
      at which nobody led are made up for (of those older than a day, the first). Without one, times are
      counted anew whenever a client begins to lead.
    - `run_on_start`: insert it also whenever a client begins to lead.
    - `options`: insert options of every job; those that the constructor returns win over them.

    What is inserted has the time at which it was due as its `scheduled_at`, even if that is a little
    late, and a unique job by period belongs to the period of that time. Give all clients the same
    periodic jobs, with the same ids. Raises `ConfigurationError`.

    Example:
        >>> from dataclasses import dataclass
        >>> from typing import ClassVar
        >>> from riverrun.model.schedule import every
        >>> @dataclass(frozen=True)
        ... class Sync:
        ...     kind: ClassVar[str] = "sync"
        >>> job = PeriodicJob(every("15m"), Sync, id="sync", run_on_start=True)
    """

    schedule: Schedule
    constructor: Callable[[], Any]
    _: KW_ONLY
    id: str | None = None
    run_on_start: bool = False
    options: InsertOptions | None = None

    def __post_init__(self) -> None:
        _check_schedule(self.schedule)
        _check_constructor(self.constructor)
        if self.id is not None:
            _check_id(self.id)
        if self.options is not None and not isinstance(self.options, InsertOptions):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"PeriodicJob: options must be InsertOptions(...), not {self.options!r}"
            )

    @property
    def label(self) -> str:
        """What logs call the job."""
        if self.id is not None:
            return repr(self.id)
        return f"{_name(self.constructor)} at {self.schedule!r}"

    def next_run(self, after: datetime) -> datetime | None:
        """When the job is due next, in UTC; None for never.

        Raises what the schedule raises, and `ValidationError` if its answer is no time after `after`,
        with which the job would be due again at once, and for ever.
        """
        time = self.schedule.next(after)
        if time is None:
            return None
        time = as_utc(time, "the schedule's next time")
        if time <= after:
            raise ValidationError(
                f"the schedule's next time after {after.isoformat()} is {time.isoformat()}, "
                f"which is not later"
            )
        return time

    def construct(self) -> tuple[object, InsertOptions] | None:
        """Call the constructor: what to insert, and how; None for nothing this time.

        Raises what it raises, and `ValidationError` for an answer that cannot be inserted.
        """
        made = self.constructor()
        if made is None:
            return None
        args, options = _args_and_options(made)
        return args, _over(self.options, options)


class DurablePeriodicJob(msgspec.Struct, frozen=True, kw_only=True):
    """When a periodic job with an id is due next, as the database has it for whoever leads.

    `updated_at` is when a leader last said that it has the job. What nobody has for a day is forgotten.
    """

    id: str
    created_at: datetime
    next_run_at: datetime
    updated_at: datetime


def _args_and_options(made: Any) -> tuple[object, InsertOptions]:
    if isinstance(made, Coroutine):
        made.close()
        raise ValidationError("the constructor gave a coroutine; it must give the args at once")
    if hasattr(made, "kind"):
        return made, NO_OPTIONS
    if isinstance(made, tuple):
        return _pair(cast("tuple[object, ...]", made))
    options = getattr(made, "options", None)
    if isinstance(options, InsertOptions) and hasattr(made, "args"):
        return made.args, options  # an InsertManyParams, or what looks like it
    return made, NO_OPTIONS


def _pair(made: tuple[object, ...]) -> tuple[object, InsertOptions]:
    match made:
        case (args, None):
            return args, NO_OPTIONS
        case (args, InsertOptions() as options):
            return args, options
        case _:
            raise ValidationError(
                f"the constructor gave {made!r}; a tuple must be (args, InsertOptions(...))"
            )


def _over(base: InsertOptions | None, options: InsertOptions) -> InsertOptions:
    """`options`, and for what they leave open `base`."""
    if base is None:
        return options
    said: dict[str, Any] = {field.name: getattr(options, field.name) for field in fields(options)}
    return insert_options(
        base, **{name: value for name, value in said.items() if value is not None}
    )


def _check_schedule(schedule: object) -> None:
    if schedule is None:
        raise ConfigurationError("PeriodicJob.ScheduleFunc must be set: give it a schedule")
    if isinstance(schedule, type) or not callable(getattr(schedule, "next", None)):
        raise ConfigurationError(
            f"PeriodicJob: {schedule!r} is no schedule; give every(...), cron(...), or an object with "
            f"a method next(after)"
        )


def _check_constructor(constructor: object) -> None:
    if constructor is None:
        raise ConfigurationError(
            "PeriodicJob.ConstructorFunc must be set: give it something that makes the args"
        )
    if hasattr(constructor, "args_class") and hasattr(constructor, "call"):
        raise ConfigurationError(
            f"PeriodicJob: calling {constructor!r} would run the job here; give its `call`, which makes "
            f"the args, or a lambda with that"
        )
    if not callable(constructor):
        raise ConfigurationError(
            f"PeriodicJob: the constructor {constructor!r} cannot be called; give a function that makes "
            f"the args, such as `lambda: {type(constructor).__name__}(...)`"
        )
    if inspect.iscoroutinefunction(constructor):
        raise ConfigurationError(
            f"PeriodicJob: the constructor {_name(constructor)} is async; it must give the args at "
            f"once, so that a database or a network cannot hold up the other periodic jobs"
        )


def _check_id(periodic_id: object) -> None:
    if not isinstance(periodic_id, str):
        raise ConfigurationError(f"PeriodicJob.ID must be text, not {periodic_id!r}")
    if len(periodic_id.encode(errors="surrogatepass")) >= MAX_ID_BYTES:
        raise ConfigurationError(
            f"PeriodicJob.ID must be less than 128 characters: {periodic_id[:40]!r}… is longer"
        )
    try:
        check_kind(periodic_id)
    except ValidationError as error:
        raise ConfigurationError(
            f'PeriodicJob.ID "{periodic_id}" should match regex {_ID_RULE}: at least two characters, '
            f"an ASCII letter, digit or underscore first"
        ) from error


def _name(constructor: object) -> str:
    name = getattr(constructor, "__qualname__", None)
    return name if isinstance(name, str) else repr(constructor)
