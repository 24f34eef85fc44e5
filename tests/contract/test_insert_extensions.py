"""Hooks and middleware around inserts: who is called, in which order, and what they can change."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import pytest

from riverrun import (
    Client,
    ConfigurationError,
    InsertBeginHook,
    InsertManyParams,
    InsertMiddleware,
    InsertOptions,
    InsertResult,
    JobInsertParams,
    PayloadError,
    UniqueOptions,
    ValidationError,
    Workers,
)

MakeClient = Callable[..., Client]
Steps = Generator[Sequence[JobInsertParams], list[InsertResult], list[InsertResult]]


@dataclass(frozen=True)
class Note:
    kind: ClassVar[str] = "note"
    text: str = ""


class Recorder:
    """An extension for both sides that writes down when it is called."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls

    def insert_begin(self, job: JobInsertParams) -> None:
        self.calls.append(f"{self.name}: begin {job.kind}")

    def insert_many(self, jobs: Sequence[JobInsertParams]) -> Steps:
        self.calls.append(f"{self.name}: before {len(jobs)}")
        results = yield jobs
        self.calls.append(f"{self.name}: after {len(results)}")
        return results


CALLS: list[str] = []


@dataclass(frozen=True)
class Plugged:
    kind: ClassVar[str] = "plugged"
    hooks: ClassVar[tuple[object, ...]] = (Recorder("args hook", CALLS),)
    plugins: ClassVar[tuple[object, ...]] = (Recorder("args plugin", CALLS),)


@pytest.fixture
def insert_only(make_client: MakeClient) -> MakeClient:
    return lambda **options: make_client(workers=None, queues={}, **options)


async def test_plugins_come_before_the_rest_and_args_level_extensions_are_innermost(
    insert_only: MakeClient,
) -> None:
    CALLS.clear()
    client = insert_only(
        hooks=[Recorder("hook", CALLS)],
        middleware=[Recorder("middleware", CALLS)],
        plugins=[Recorder("plugin", CALLS)],
    )
    await client.insert_many([Note(), Plugged()])
    assert CALLS == [
        "plugin: before 2",
        "middleware: before 2",
        "args plugin: before 2",
        "plugin: begin note",
        "hook: begin note",
        "plugin: begin plugged",
        "hook: begin plugged",
        "args plugin: begin plugged",
        "args hook: begin plugged",
        "args plugin: after 2",
        "middleware: after 2",
        "plugin: after 2",
    ]


async def test_what_is_given_twice_is_called_twice(insert_only: MakeClient) -> None:
    calls: list[str] = []
    recorder = Recorder("it", calls)
    client = insert_only(hooks=[recorder, None, recorder])
    await client.insert(Note())
    assert calls == ["it: begin note"] * 2


async def test_a_hook_may_change_everything_that_is_stored(insert_only: MakeClient) -> None:
    def change(job: JobInsertParams) -> None:
        job.encoded_args = '{"text":"changed"}'
        job.metadata["by"] = "hook"
        job.queue, job.tags, job.priority, job.max_attempts = "other", ("tag",), 3, 7

    client = insert_only(hooks=[InsertBeginHook(change)])
    job = (await client.insert(Note("original"), metadata={"a": 1})).job
    assert (job.encoded_args.replace(" ", ""), job.queue) == ('{"text":"changed"}', "other")
    assert dict(job.metadata) == {"a": 1, "by": "hook"}
    assert (job.tags, job.priority, job.max_attempts) == (["tag"], 3, 7)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"queue": "No Queue"}, ValidationError),
        ({"priority": 9}, ValidationError),
        ({"max_attempts": 0}, ValidationError),
        ({"tags": ("a,b",)}, ValidationError),
        ({"encoded_args": "[]"}, PayloadError),
        ({"kind": ""}, ValidationError),
        ({"tags": "abc"}, ValidationError),
        ({"tags": None}, ValidationError),
        ({"state": "running"}, ValidationError),
        ({"state": "completed"}, ValidationError),
        ({"scheduled_at": datetime(2030, 1, 1)}, ValidationError),  # noqa: DTZ001 - has no zone
        ({"created_at": datetime(2030, 1, 1)}, ValidationError),  # noqa: DTZ001
        ({"encoded_args": b"{}"}, PayloadError),
        ({"encoded_args": '{"text":"\\u0000"}'}, PayloadError),
        ({"unique_key": "text"}, PayloadError),
        ({"id": "1"}, PayloadError),
    ],
)
async def test_what_a_hook_changes_is_held_to_the_same_rules(
    insert_only: MakeClient, change: dict[str, Any], error: type[Exception]
) -> None:
    def spoil(job: JobInsertParams) -> None:
        for name, value in change.items():
            setattr(job, name, value)

    client = insert_only(hooks=[InsertBeginHook(spoil)])
    with pytest.raises(error):
        await client.insert(Note())


async def test_a_hook_that_raises_fails_the_whole_batch(insert_only: MakeClient) -> None:
    def refuse(job: JobInsertParams) -> None:
        if job.args.text == "bad":
            raise LookupError("refused")

    client = insert_only(hooks=[InsertBeginHook(refuse)])
    with pytest.raises(LookupError, match="refused"):
        await client.insert_many([Note("good"), Note("bad")])
    assert (await client.jobs.page()).jobs == []


async def test_middleware_that_raises_after_the_insert_rolls_it_back(
    insert_only: MakeClient,
) -> None:
    def fail_late(jobs: Sequence[JobInsertParams]) -> Steps:
        yield jobs
        raise LookupError("too late")

    client = insert_only(middleware=[InsertMiddleware(fail_late)])
    with pytest.raises(LookupError, match="too late"):
        await client.insert(Note())
    assert (await client.jobs.page()).jobs == []


async def test_middleware_may_insert_nothing_or_only_a_part(insert_only: MakeClient) -> None:
    def only_the_first(jobs: Sequence[JobInsertParams]) -> Steps:
        if jobs[0].args.text == "none":
            return []
        return (yield jobs[:1])

    client = insert_only(middleware=[InsertMiddleware(only_the_first)])
    assert await client.insert_many([Note("none")]) == []
    assert len(await client.insert_many([Note("a"), Note("b")])) == 1
    assert len((await client.jobs.page()).jobs) == 1


async def test_middleware_may_go_on_more_than_once(insert_only: MakeClient) -> None:
    def twice(jobs: Sequence[JobInsertParams]) -> Steps:
        first = yield jobs
        second = yield jobs
        return [*first, *second]

    client = insert_only(middleware=[InsertMiddleware(twice)])
    results = await client.insert_many([Note("a")])
    assert len(results) == 2
    assert len((await client.jobs.page()).jobs) == 2


async def test_middleware_hears_of_an_insert_that_fails(insert_only: MakeClient) -> None:
    heard: list[str] = []

    def listen(jobs: Sequence[JobInsertParams]) -> Steps:
        try:
            return (yield jobs)
        except ValidationError as error:
            heard.append(type(error).__name__)
            raise

    client = insert_only(middleware=[InsertMiddleware(listen)])
    same = InsertManyParams(Note(), InsertOptions(unique=UniqueOptions(by_args=True)))
    with pytest.raises(ValidationError):
        await client.insert_many([same, same])
    assert heard == ["ValidationError"]


async def test_fast_inserts_go_through_hooks_and_middleware_too(insert_only: MakeClient) -> None:
    calls: list[str] = []
    client = insert_only(plugins=[Recorder("it", calls)])
    assert await client.insert_many_fast([Note("a"), Note("b")]) == 2
    assert calls == ["it: before 2", "it: begin note", "it: begin note", "it: after 0"]


async def test_duplicates_in_a_batch_are_left_out_when_asked(insert_only: MakeClient) -> None:
    client = insert_only()
    unique = InsertOptions(unique=UniqueOptions(by_args=True))
    batch = [InsertManyParams(Note(text), unique) for text in ("a", "b", "a")]
    results = await client.insert_many(batch, deduplicate=True)
    assert [result.unique_skipped_as_duplicate for result in results] == [False, False, True]
    assert results[0].job.id == results[2].job.id


async def test_uniqueness_can_be_switched_off_for_tests(insert_only: MakeClient) -> None:
    client = insert_only(disable_unique_enforcement=True)
    unique = UniqueOptions(by_args=True)
    first = await client.insert(Note(), unique=unique)
    second = await client.insert(Note(), unique=unique)
    assert first.job.id != second.job.id
    assert second.job.unique_key is None


def test_an_object_that_does_nothing_in_its_place_is_refused(insert_only: MakeClient) -> None:
    with pytest.raises(ConfigurationError, match=r"hooks: .* does nothing there"):
        insert_only(hooks=[InsertMiddleware(Recorder("it", []).insert_many)])
    with pytest.raises(ConfigurationError, match=r"plugins: .* does nothing there"):
        insert_only(plugins=["a string"])


async def test_middleware_that_is_no_generator_is_refused(insert_only: MakeClient) -> None:
    client = insert_only(middleware=[InsertMiddleware(lambda jobs: None)])  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigurationError, match="must be a generator"):
        await client.insert(Note())


async def test_a_hook_that_is_async_is_refused_and_not_passed_over(
    insert_only: MakeClient,
) -> None:
    async def note(job: JobInsertParams) -> None: ...

    with pytest.raises(ConfigurationError, match="is async; it must be a plain function"):
        insert_only(hooks=[InsertBeginHook(note)])  # type: ignore[arg-type]
    client = insert_only(hooks=[InsertBeginHook(lambda job: note(job))])  # type: ignore[arg-type]  # noqa: PLW0108 - looks plain
    with pytest.raises(ConfigurationError, match="is async; it must be a plain function"):
        await client.insert(Note())
    assert (await client.jobs.page()).jobs == []


def test_middleware_that_is_async_is_refused_when_it_is_given(insert_only: MakeClient) -> None:
    async def steps(jobs: Sequence[JobInsertParams]) -> Any:
        yield jobs

    with pytest.raises(ConfigurationError, match=r"middleware: insert_many of .* is async"):
        insert_only(middleware=[InsertMiddleware(steps)])  # type: ignore[arg-type]


def test_a_class_or_a_single_object_in_place_of_a_list_of_objects_is_refused(
    insert_only: MakeClient,
) -> None:
    with pytest.raises(ConfigurationError, match=r"hooks: .*Recorder'> is a class; give an object"):
        insert_only(hooks=[Recorder])
    with pytest.raises(ConfigurationError, match="plugins: give a list of extensions"):
        insert_only(plugins=Recorder("it", []))
    with pytest.raises(ConfigurationError, match="hooks: give a list of extensions"):
        insert_only(hooks=(each for each in [Recorder("it", [])]))


async def test_a_single_hook_of_a_class_of_args_is_not_passed_over(insert_only: MakeClient) -> None:
    @dataclass(frozen=True)
    class Odd:
        kind: ClassVar[str] = "odd"
        hooks: ClassVar[object] = Recorder("it", [])

    with pytest.raises(ConfigurationError, match=r"Odd\.hooks: give a list of extensions"):
        await insert_only().insert(Odd())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "returned 0 results for the insert of one job"),
        (None, "returned None; it must return the results"),
        (["junk"], r"returned \['junk'\]; it must return the results"),
    ],
)
async def test_what_middleware_answers_must_be_results_or_nothing_is_inserted(
    insert_only: MakeClient, answer: Any, message: str
) -> None:
    def careless(jobs: Sequence[JobInsertParams]) -> Steps:
        yield jobs
        return answer  # type: ignore[no-any-return]

    client = insert_only(middleware=[InsertMiddleware(careless)])
    with pytest.raises(ConfigurationError, match=message):
        await client.insert(Note())
    assert (await client.jobs.page()).jobs == []


@pytest.mark.parametrize("batch", [None, [Note()], "text"])
async def test_middleware_must_yield_the_jobs_it_was_given(
    insert_only: MakeClient, batch: Any
) -> None:
    def careless(jobs: Sequence[JobInsertParams]) -> Steps:
        return (yield batch)

    client = insert_only(middleware=[InsertMiddleware(careless)])
    with pytest.raises(ConfigurationError, match="it must yield a list of the jobs"):
        await client.insert_many([Note()])


async def test_middleware_hears_of_a_hook_that_fails_and_may_go_on_without_that_job(
    insert_only: MakeClient,
) -> None:
    def refuse(job: JobInsertParams) -> None:
        if job.args.text == "bad":
            raise LookupError("refused")

    def without_bad_ones(jobs: Sequence[JobInsertParams]) -> Steps:
        try:
            return (yield jobs)
        except LookupError:
            return (yield [job for job in jobs if job.args.text != "bad"])

    client = insert_only(
        hooks=[InsertBeginHook(refuse)], middleware=[InsertMiddleware(without_bad_ones)]
    )
    results = await client.insert_many([Note("good"), Note("bad")])
    assert [result.job.encoded_args.replace(" ", "") for result in results] == ['{"text":"good"}']


async def test_deduplicating_stands_middleware_that_leaves_jobs_out(
    insert_only: MakeClient,
) -> None:
    def only_the_first(jobs: Sequence[JobInsertParams]) -> Steps:
        return (yield jobs[:1])

    client = insert_only(middleware=[InsertMiddleware(only_the_first)])
    assert len(await client.insert_many([Note("a"), Note("b")], deduplicate=True)) == 1


async def test_kinds_that_other_clients_would_refuse_need_the_option(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    workers = Workers()

    @workers.job(kind="with blanks")
    async def odd() -> None: ...

    with pytest.raises(ConfigurationError, match="job kind is invalid: 'with blanks'"):
        make_client(workers=workers)
    client = make_client(workers=workers, skip_job_kind_validation=True)
    assert "job kind is invalid" in caplog.text
    assert (await client.insert(odd.call())).job.kind == "with blanks"
