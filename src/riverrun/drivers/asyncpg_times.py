"""The server's times, read in a third of the time that asyncpg takes by itself.

A job's row has three, and most of what it costs to read. They are seldom new: all jobs of a claim were
claimed at one moment, those of one insert created at one, and nearly every job was created when it was
scheduled. So what was made of a number a moment ago is taken again.
"""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

_TIMESTAMPTZ = 1184
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INFINITIES = {2**63 - 1: datetime.max, -(2**63): datetime.min}  # noqa: DTZ901 - as asyncpg has them
_KEPT = 1024


class _Times(dict[tuple[int], datetime]):
    """By the microseconds that the server sends, as asyncpg hands them on."""

    def __missing__(self, sent: tuple[int]) -> datetime:
        if len(self) >= _KEPT:
            self.clear()
        time = self[sent] = decode_time(sent)
        return time


_times = _Times()


def use_fast_times(connection: Any) -> None:
    """Have `connection` read and write its times in this way.

    An asyncpg that wants to be told in another way goes on doing it in its own.
    """
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        connection.get_settings().add_python_codec(
            _TIMESTAMPTZ, "timestamptz", "pg_catalog", [], "scalar",
            encode_time, _times.__getitem__, "tuple",
        )  # fmt: skip


def decode_time(sent: tuple[int]) -> datetime:
    """The time that so many microseconds after the year 2000 began; raises `OverflowError`."""
    (microseconds,) = sent
    infinity = _INFINITIES.get(microseconds)
    return infinity or _EPOCH + timedelta(microseconds=microseconds)


def encode_time(time: datetime) -> tuple[int]:
    """The microseconds from the year 2000 to `time`; one without a zone is local, as for asyncpg."""
    for sent, infinity in _INFINITIES.items():
        if time == infinity:
            return (sent,)
    return ((time.astimezone(UTC) - _EPOCH) // _MICROSECOND,)
