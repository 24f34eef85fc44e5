"""River's TestMigrate: versions, in whatever order and by whichever side."""

import pytest

from tests.conformance.conftest import Start
from tests.conformance.driver import Adapter
from tests.conformance.marks import only_postgres

VERSIONS = list(range(1, 9))


async def versions(
    adapter: Adapter, direction: str, target: int = 0, schema: str = ""
) -> list[int]:
    """Those that were applied."""
    answer = await adapter.call(
        "migrate", direction=direction, target_version=target, schema=schema
    )
    applied: list[int] = answer["versions"]
    return applied


@pytest.mark.parametrize("version", VERSIONS)
async def test_History(other: Adapter, start: Start, version: int) -> None:
    first = await start("first")
    below, above = VERSIONS[:version], VERSIONS[version:]
    assert await versions(first, "up", version) == below
    assert await versions(first, "up", version) == []
    assert await versions(other, "up") == above
    job = await other.insert_one()
    assert await first.jobs() == [job]
    assert await versions(first, "down", version) == above[::-1]
    assert await versions(other, "up") == above
    await other.insert_one()
    assert await versions(first, "down", -1) == VERSIONS[::-1]
    assert await first.code("list") == -32002


async def test_History_of_single_steps(one: Adapter) -> None:
    sql = "select version from river_migration where line = 'main' order by version"
    assert await one.place.rows(sql) == [(version,) for version in VERSIONS]
    assert await versions(one, "down") == [8]
    assert await versions(one, "down") == [7]
    assert await versions(one, "up", 3) == []
    assert await versions(one, "up") == [7, 8]
    assert await one.code("migrate", direction="up", target_version=99) == -32002


async def test_MigratorThenRuntime(one: Adapter, other: Adapter) -> None:
    await other.insert_one()
    assert await versions(one, "down", -1) == VERSIONS[::-1]
    assert await versions(one, "up") == VERSIONS
    await other.work()
    job = await other.insert_one()
    await one.state(job["id"], "completed")


@only_postgres
@pytest.mark.parametrize("schema", ["apart", "MixedCase", "s" * 46])
async def test_CustomSchema(one: Adapter, other: Adapter, schema: str) -> None:
    await one.place.rows(f'create schema "{schema}"')
    assert await versions(one, "up", schema=schema) == VERSIONS
    assert await versions(other, "up", schema=schema) == []
    await other.work(schema=schema)
    job = await one.insert_one(schema=schema)
    await other.state(job["id"], "completed", schema=schema)
    assert await one.jobs() == []
    assert await one.code("insert", jobs=[{}], schema="s" * 47) == -32002
