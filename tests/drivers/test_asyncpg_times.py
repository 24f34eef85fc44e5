"""Times through our own codec are those that asyncpg reads and writes by itself."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from riverrun.drivers import asyncpg_times
from riverrun.drivers.asyncpg_times import decode_time, encode_time, use_fast_times

driver: Any = asyncpg
TEXTS = (
    "2026-11-24 12:00:00.123456+00", "1999-12-31 23:59:59.999999+00", "0001-01-02 00:00:00+00",
    "9999-12-30 00:00:00+00", "2026-06-01 12:00:00+05:30", "infinity", "-infinity",
)  # fmt: skip
TIMES = (
    datetime(2026, 11, 24, 12, 0, 0, 123456, UTC),
    datetime(1, 1, 2, tzinfo=UTC),
    datetime(9999, 12, 30, tzinfo=UTC),
    datetime(2026, 6, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    datetime(2026, 6, 1),  # noqa: DTZ001 - local, as for asyncpg
    datetime.max,  # noqa: DTZ901
    datetime.min,  # noqa: DTZ901
)


@pytest.fixture
async def plain(postgres_database_url: str) -> AsyncIterator[Any]:
    connection = await driver.connect(postgres_database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def fast(postgres_database_url: str) -> AsyncIterator[Any]:
    connection = await driver.connect(postgres_database_url)
    use_fast_times(connection)
    yield connection
    await connection.close()


@pytest.mark.parametrize("text", TEXTS)
async def test_a_time_is_read_as_by_asyncpg(plain: Any, fast: Any, text: str) -> None:
    sql = f"select timestamptz '{text}', array[timestamptz '{text}', null], null::timestamptz"
    read = await fast.fetchrow(sql)
    assert tuple(read) == tuple(await plain.fetchrow(sql))
    assert read[0].tzinfo is (None if "infinity" in text else UTC)


@pytest.mark.parametrize("time", TIMES, ids=str)
async def test_a_time_is_written_as_by_asyncpg(plain: Any, fast: Any, time: datetime) -> None:
    sql = "select $1::timestamptz::text, $2::timestamptz[]::text"
    written = await fast.fetchrow(sql, time, [time, None])
    assert tuple(written) == tuple(await plain.fetchrow(sql, time, [time, None]))


@pytest.mark.parametrize("value", ["2026-11-24", 7, date(2026, 11, 24)])
async def test_what_is_no_time_is_refused(fast: Any, value: object) -> None:
    with pytest.raises(driver.DataError):
        await fast.fetchval("select $1::timestamptz", value)


async def test_it_is_in_use(fast: Any) -> None:
    """Should asyncpg change what we tell it by, nothing fails but the speed."""
    read = await fast.fetchval("select array[now(), now()]")
    assert read[0] is read[1]


async def test_only_so_many_times_are_kept(fast: Any) -> None:
    kept = asyncpg_times._KEPT  # noqa: SLF001
    read = await fast.fetch(
        "select timestamptz '2026-01-01Z' + n * interval '1 s' from generate_series(1, $1) n",
        3 * kept,
    )
    assert len({row[0] for row in read}) == 3 * kept
    assert len(asyncpg_times._times) <= kept  # noqa: SLF001


@pytest.mark.parametrize(
    "microseconds", [-63_082_281_600_000_000, -1, 0, 1, 252_000_000_000_000_001]
)
def test_every_microsecond_goes_there_and_back(microseconds: int) -> None:
    assert encode_time(decode_time((microseconds,))) == (microseconds,)


def test_a_time_that_python_cannot_hold_is_no_other() -> None:
    with pytest.raises(OverflowError):
        decode_time((10**18,))
