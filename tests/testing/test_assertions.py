"""Which jobs a program has inserted, on both databases: every text, and what it lists."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar
from unittest.mock import ANY

import pytest

from riverrun import Client, JobState, ValidationError, Workers
from riverrun.testing import (
    Expected,
    require_inserted,
    require_many_inserted,
    require_not_inserted,
)
from tests.support.transactions import transaction

WHEN = datetime(2031, 5, 6, 7, 8, 9, 123000, tzinfo=UTC)

OTHERS: dict[str, Any] = {
    "max_attempts": 4,
    "priority": 2,
    "queue": "b",
    "scheduled_at": datetime(2031, 5, 6, tzinfo=UTC),
    "state": "available",
    "tags": ["two", "one"],
    "metadata": {"by": "you"},
}
SAME: dict[str, Any] = {
    "max_attempts": 3,
    "priority": 4,
    "queue": "a",
    "scheduled_at": WHEN,
    "state": JobState.SCHEDULED,
    "tags": ["one", "two"],
    "metadata": {"by": "me"},
}
DIFFERENCES = {
    "max_attempts": "max attempts 3 not equal to expected 4",
    "priority": "priority 4 not equal to expected 2",
    "queue": "queue 'a' not equal to expected 'b'",
    "scheduled_at": "scheduled at 2031-05-06T07:08:09.123000+00:00 not equal to expected "
    "2031-05-06T00:00:00+00:00",
    "state": "state 'scheduled' not equal to expected 'available'",
    "tags": "tags ['one', 'two'] not equal to expected ['two', 'one']",
    "metadata": "metadata {'by': 'me'} not equal to expected {'by': 'you'}",
}
EXCLUSIONS = {
    "max_attempts": "max attempts equal to excluded 3",
    "priority": "priority equal to excluded 4",
    "queue": "queue equal to excluded 'a'",
    "scheduled_at": "scheduled at equal to excluded 2031-05-06T07:08:09.123000+00:00",
    "state": "state equal to excluded 'scheduled'",
    "tags": "tags equal to excluded ['one', 'two']",
    "metadata": "metadata equal to excluded {'by': 'me'}",
}


@dataclass(frozen=True)
class Sort:
    kind: ClassVar[str] = "sort"
    strings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Mail:
    kind: ClassVar[str] = "mail"
    to: str
    subject: str = ""


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with Client(database_url) as client:
        yield client


async def insert_special(client: Client) -> None:
    """A job that has every property of `SAME`."""
    await client.insert(
        Sort(), max_attempts=3, priority=4, queue="a", scheduled_at=WHEN,
        tags=["one", "two"], metadata={"by": "me", "more": 1},
    )  # fmt: skip


async def test_the_one_job_is_returned_with_its_args(client: Client) -> None:
    inserted = await client.insert(Sort(["b", "a"]))
    job = await require_inserted(client, Sort)
    assert (job.row, job.args) == (inserted.job, Sort(["b", "a"]))
    assert (await require_inserted(client, "sort")).row == inserted.job


async def test_a_function_says_the_kind_and_its_call_the_args(client: Client) -> None:
    workers = Workers()

    @workers.job
    def greet(name: str, times: int = 1) -> None: ...

    await client.insert(greet.call("Ada", 2))
    assert (await require_inserted(client, greet)).args == greet.call("Ada", 2)
    await require_inserted(client, greet.call("Ada", ANY))
    with pytest.raises(AssertionError, match=r"with kind and args: greet, greet\(.*'Bob'"):
        await require_inserted(client, greet.call("Bob", ANY))


async def test_no_job_of_the_kind_is_a_failure_in_rivers_words(client: Client) -> None:
    with pytest.raises(AssertionError) as failed:
        await require_inserted(client, Sort)
    text = "\n    River assertion failure:\n    No jobs found with kind: sort\n"
    assert str(failed.value).startswith(text)
    assert "There is no job with kind 'sort'." in str(failed.value)


async def test_too_many_jobs_of_the_kind_are_a_failure(client: Client) -> None:
    await client.insert_many([Sort(), Sort()])
    text = (
        r"More than one job found with kind: sort \(you might want require_many_inserted instead\)"
    )
    with pytest.raises(AssertionError, match=text):
        await require_inserted(client, Sort)


async def test_given_args_choose_among_the_jobs_of_the_kind(client: Client) -> None:
    await client.insert_many([Mail("a@b.c", "Hi"), Mail("d@e.f", "Hi"), Mail("d@e.f", "Hi")])
    assert (await require_inserted(client, Mail("a@b.c", ANY))).args == Mail("a@b.c", "Hi")
    with pytest.raises(AssertionError, match="More than one job found with kind and args: mail"):
        await require_inserted(client, Mail(ANY, "Hi"))


async def test_a_failure_lists_the_jobs_that_are_there(client: Client) -> None:
    await client.insert(Mail("a@b.c", "Hi"), queue="fast", tags=["news"], metadata={"by": "me"})
    with pytest.raises(AssertionError) as failed:
        await require_inserted(client, Mail("a@b.c", "Ho"))
    line = '#1 mail {"to":"a@b.c","subject":"Hi"} available queue=fast priority=1 attempt=0/25'
    assert line in str(failed.value).replace('": "', '":"').replace('", "', '","')
    assert 'tags=news metadata={"by"' in str(failed.value)


async def test_of_many_jobs_the_first_ten_are_listed(client: Client) -> None:
    await client.insert_many([Sort() for _ in range(12)])
    with pytest.raises(AssertionError, match=r"#10 sort [^#]*\n      and 2 more\n$"):
        await require_inserted(client, Sort)


@pytest.mark.parametrize("name", list(SAME))
async def test_each_property_is_compared(client: Client, name: str) -> None:
    await insert_special(client)
    await require_inserted(client, Sort, **{name: SAME[name]})
    await require_inserted(client, Sort, **{name: ANY})
    with pytest.raises(AssertionError) as failed:
        await require_inserted(client, Sort, **{name: OTHERS[name]})
    assert f"Job with kind 'sort' {DIFFERENCES[name]}\n" in str(failed.value)


async def test_all_differences_are_told_at_once(client: Client) -> None:
    await insert_special(client)
    await require_inserted(client, Sort, **SAME)
    with pytest.raises(AssertionError) as failed:
        await require_inserted(client, Sort, **OTHERS)
    assert f"Job with kind 'sort' {', '.join(DIFFERENCES.values())}\n" in str(failed.value)


async def test_a_time_is_compared_as_precisely_as_it_is_kept(client: Client) -> None:
    precise = WHEN.replace(microsecond=123_456)
    await client.insert(Sort(), scheduled_at=precise)
    await require_inserted(client, Sort, scheduled_at=precise)


async def test_none_says_nothing_and_an_empty_list_of_tags_says_none(client: Client) -> None:
    await insert_special(client)
    await require_inserted(client, Sort, queue=None, tags=None)
    with pytest.raises(AssertionError, match=r"not equal to expected \[\]"):
        await require_inserted(client, Sort, tags=())


async def test_a_misspelt_property_and_a_naive_time_are_refused(client: Client) -> None:
    misspelt: Any = {"que": "a"}
    with pytest.raises(ValidationError, match="did you mean 'queue'"):
        await require_inserted(client, Sort, **misspelt)
    with pytest.raises(ValidationError, match="no time zone"):
        await require_not_inserted(client, Sort, scheduled_at=datetime(2030, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValidationError, match="did you mean 'queue'"):
        Expected(Sort, **misspelt)


async def test_many_jobs_are_expected_in_their_order(client: Client) -> None:
    await client.insert_many([Sort(["1"]), Mail("a@b.c"), Sort(["2"])])
    jobs = await require_many_inserted(client, [Sort, Mail("a@b.c"), Expected(Sort(["2"]))])
    assert [job.args for job in jobs] == [Sort(["1"]), Mail("a@b.c"), Sort(["2"])]
    await require_many_inserted(client, [Mail])
    await require_many_inserted(client, [])


@pytest.mark.parametrize(
    "expected",
    [[Mail, Sort, Sort], [Mail, Sort], [Sort, Mail, Sort, Mail]],
    ids=["wrong order", "too many are there", "too few are there"],
)
async def test_another_order_or_number_of_jobs_is_a_failure(
    client: Client, expected: list[Any]
) -> None:
    await client.insert_many([Sort(), Mail("a@b.c"), Sort()])
    kinds = [job.kind for job in expected]
    text = f"didn't match expectation; expected: {kinds}, actual: ['sort', 'mail', 'sort']\n"
    with pytest.raises(AssertionError) as failed:
        await require_many_inserted(client, expected)
    assert f"    Inserted jobs {text}" in str(failed.value)


async def test_a_difference_in_one_of_many_says_which(client: Client) -> None:
    await client.insert_many([Sort(["1"]), Sort(["2"])])
    with pytest.raises(AssertionError) as failed:
        await require_many_inserted(client, [Sort, Expected(Sort(["3"]), queue="b")])
    text = str(failed.value).replace('"strings": ', '"strings":')
    assert (
        'Job with kind \'sort\' (expected job slice index 1) args {"strings":["2"]} not equal to '
        "expected Sort(strings=['3']), queue 'default' not equal to expected 'b'\n"
    ) in text


async def test_not_inserted_means_no_row_of_the_kind(client: Client) -> None:
    await require_not_inserted(client, Sort)
    await client.insert_many([Sort(), Sort()])
    await require_not_inserted(client, Mail)
    with pytest.raises(AssertionError) as failed:
        await require_not_inserted(client, Sort)
    text = "2 jobs found with kind, but expected to find none: sort\n"
    assert text in str(failed.value)


async def test_not_inserted_with_args_means_these_args(client: Client) -> None:
    await client.insert(Mail("a@b.c"))
    await require_not_inserted(client, Mail("d@e.f"))
    with pytest.raises(AssertionError, match="1 jobs found with kind and args, but expected"):
        await require_not_inserted(client, Mail("a@b.c", ANY))


@pytest.mark.parametrize("name", list(SAME))
async def test_each_property_is_excluded(client: Client, name: str) -> None:
    await insert_special(client)
    await require_not_inserted(client, Sort, **{name: OTHERS[name]})
    with pytest.raises(AssertionError) as failed:
        await require_not_inserted(client, Sort, **{name: SAME[name]})
    assert f"Job with kind 'sort' {EXCLUSIONS[name]}\n" in str(failed.value)


async def test_not_inserted_fails_only_if_all_properties_match(client: Client) -> None:
    await client.insert(Sort())
    await insert_special(client)
    one_off: dict[str, Any] = {**SAME, "priority": 2}
    await require_not_inserted(client, Sort, **one_off)
    with pytest.raises(AssertionError) as failed:
        await require_not_inserted(client, Sort, **SAME)
    assert f"Job with kind 'sort' {', '.join(EXCLUSIONS.values())}\n" in str(failed.value)


async def test_within_a_transaction_its_own_jobs_are_seen(
    client: Client, database_url: str
) -> None:
    async with transaction(database_url) as tx:
        await client.insert(Sort(), tx=tx)
        await require_inserted(client, Sort, tx=tx)
        await require_many_inserted(client, [Sort], tx=tx)
        with pytest.raises(AssertionError):
            await require_not_inserted(client, Sort, tx=tx)
        await require_not_inserted(client, Sort)


async def test_args_that_compare_by_identity_are_compared_as_json(client: Client) -> None:
    @dataclass(eq=False)
    class Odd:
        kind: ClassVar[str] = "odd"
        value: int

    await client.insert(Odd(1))
    await require_inserted(client, Odd(1))
    await require_not_inserted(client, Odd(2))


async def test_args_that_cannot_be_read_are_not_those_expected(client: Client) -> None:
    @dataclass(frozen=True)
    class Numbers:
        kind: ClassVar[str] = "sort"
        strings: list[int]

    await client.insert(Sort(["a"]))
    await require_not_inserted(client, Numbers([1]))
