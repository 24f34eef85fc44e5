"""The rules of resumable steps, attempt by attempt, without a database."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import pytest

from riverrun import LifecycleError, PayloadError, ValidationError
from riverrun.worker.resumable import CURSOR_KEY, STEP_KEY, Progress, decode_cursor
from riverrun.worker.steps import run_cursor_step, run_step


def merge(metadata: Mapping[str, Any], updates: Mapping[str, Any]) -> dict[str, Any]:
    """As both databases merge: whole values, by key."""
    return {**metadata, **updates}


@dataclass
class Attempts:
    """A job's metadata from attempt to attempt."""

    metadata: dict[str, Any] = field(default_factory=dict)
    ran: list[Any] = field(default_factory=list)

    def fail(self, work: Callable[[Progress], None]) -> None:
        """One attempt that does `work` and does not succeed."""
        self.ran = []
        progress = Progress(self.metadata)
        work(progress)
        updates = progress.updates()
        self.metadata = merge(self.metadata, updates)

    def step(self, progress: Progress, name: str, error: str = "") -> None:
        run_step(progress, name, partial(self._work, name, error))

    def cursor_step(
        self, progress: Progress, name: str, cursor: Any = None, error: str = ""
    ) -> None:
        def work(stored: Any) -> None:
            self.ran.append((name, stored))
            if cursor is not None:
                progress.set_cursor(cursor)
            self._raise(error)

        run_cursor_step(progress, name, work, cursor_type=None, default=None)

    def _work(self, name: str, error: str) -> None:
        self.ran.append(name)
        self._raise(error)

    def _raise(self, error: str) -> None:
        if error:
            raise RuntimeError(error)


@pytest.fixture
def job() -> Attempts:
    return Attempts()


def failing(*_arguments: object) -> None:
    raise RuntimeError("not yet")


def test_an_attempt_goes_on_after_the_last_completed_step(job: Attempts) -> None:
    def first(progress: Progress) -> None:
        job.step(progress, "a")
        job.step(progress, "b")
        with pytest.raises(RuntimeError):
            job.step(progress, "c", error="down")

    def second(progress: Progress) -> None:
        for name in ("a", "b", "c"):
            job.step(progress, name)

    job.fail(first)
    assert (job.ran, job.metadata) == (["a", "b", "c"], {STEP_KEY: "b"})
    job.fail(second)
    assert (job.ran, job.metadata) == (["c"], {STEP_KEY: "c"})


def test_an_attempt_that_fails_while_skipping_keeps_what_was_reached(job: Attempts) -> None:
    job.metadata = {STEP_KEY: "b"}
    job.fail(lambda progress: job.step(progress, "a"))
    assert (job.ran, job.metadata) == ([], {STEP_KEY: "b"})


def test_a_skipped_step_gives_none_and_one_that_ran_its_result() -> None:
    progress = Progress({STEP_KEY: "a"})
    assert run_step(progress, "a", partial(int, "1")) is None
    assert run_step(progress, "b", partial(int, "2")) == 2


def test_a_step_goes_on_at_its_cursor_and_loses_it_when_it_is_done(job: Attempts) -> None:
    """A cursor is looked up by name: its step, which never completed, begins after the resume step."""

    def first(progress: Progress) -> None:
        job.step(progress, "a")
        with pytest.raises(RuntimeError):
            job.cursor_step(progress, "b", cursor=7, error="down")

    def second(progress: Progress) -> None:
        job.step(progress, "a")
        job.cursor_step(progress, "b")
        with pytest.raises(RuntimeError):
            job.step(progress, "c", error="down")

    job.fail(first)
    assert job.metadata == {STEP_KEY: "a", CURSOR_KEY: {"b": 7}}
    job.fail(second)
    assert job.ran == [("b", 7), "c"]
    gone = {CURSOR_KEY: None}
    assert job.metadata == {STEP_KEY: "b", **gone}


def test_the_cursor_of_a_completed_step_does_not_come_back_beside_another(job: Attempts) -> None:
    """SQLite merges the object of cursors into the stored one, which must lose that of `a`."""

    def first(progress: Progress) -> None:
        with pytest.raises(RuntimeError):
            job.cursor_step(progress, "a", cursor={"page": 1, "row": 5}, error="down")

    def second(progress: Progress) -> None:
        job.cursor_step(progress, "a")
        with pytest.raises(RuntimeError):
            job.cursor_step(progress, "b", cursor=2, error="down")

    job.fail(first)
    job.fail(second)
    assert job.metadata == {STEP_KEY: "a", CURSOR_KEY: {"b": 2}}
    job.fail(second)
    assert job.ran == [("b", 2)]


def test_a_cursor_replaces_the_one_before_it_key_by_key(job: Attempts) -> None:
    job.fail(partial(keep_cursor, {"page": 1, "rest": [3]}))
    job.fail(partial(keep_cursor, {"page": 2}))
    assert job.metadata == {CURSOR_KEY: {"a": {"page": 2}}}


def keep_cursor(cursor: Any, progress: Progress) -> None:
    """A cursor step that fails, and whose error the handler catches."""
    with suppress(RuntimeError), progress.step("a", takes_cursor=True):
        progress.set_cursor(cursor)
        failing()


def test_a_cursor_set_before_any_step_was_completed_survives(job: Attempts) -> None:
    """River itself loses it: it writes nothing unless some step was completed."""
    job.fail(partial(keep_cursor, 3))
    assert job.metadata == {CURSOR_KEY: {"a": 3}}
    job.fail(lambda progress: job.cursor_step(progress, "a"))
    assert job.ran == [("a", 3)]


def test_the_resume_step_runs_again_if_it_has_a_cursor_and_only_then(job: Attempts) -> None:
    job.metadata = {STEP_KEY: "a", CURSOR_KEY: {"a": 5}}
    job.fail(lambda progress: job.cursor_step(progress, "a"))
    assert job.ran == [("a", 5)]
    job.fail(lambda progress: job.cursor_step(progress, "a"))
    assert job.ran == []


def test_a_step_before_the_resume_step_is_skipped_whatever_its_cursor(job: Attempts) -> None:
    job.metadata = {STEP_KEY: "b", CURSOR_KEY: {"a": 5}}

    def work(progress: Progress) -> None:
        job.cursor_step(progress, "a")
        job.step(progress, "b")
        job.step(progress, "c")

    job.fail(work)
    assert job.ran == ["c"]


@pytest.mark.parametrize("metadata", [{}, {STEP_KEY: "b"}, {STEP_KEY: "a"}])
@pytest.mark.parametrize("first_takes_cursor", [False, True])
def test_a_name_counts_once_run_or_skipped_with_or_without_a_cursor(
    metadata: dict[str, Any], first_takes_cursor: bool
) -> None:
    """River V0.40: duplicate names are noticed among skipped steps too."""
    progress = Progress(metadata)
    with progress.step("a", takes_cursor=first_takes_cursor):
        pass
    with (
        pytest.raises(ValidationError) as raised,
        progress.step("a", takes_cursor=not first_takes_cursor),
    ):
        pass
    assert str(raised.value) == 'river: duplicate resumable step name "a"'


def test_a_success_that_never_met_the_resume_step_is_an_error() -> None:
    progress = Progress({STEP_KEY: "gone"})
    with progress.step("a") as runs:
        assert not runs
    with pytest.raises(LifecycleError) as raised:
        progress.check_end()
    assert str(raised.value) == 'river: resumable step "gone" not found in Worker'
    with progress.step("gone"):
        pass
    progress.check_end()


def test_a_cursor_belongs_to_a_step_that_takes_one() -> None:
    progress = Progress({})
    text = "river: resumable cursor can only be used within ResumableStepCursor"
    with pytest.raises(LifecycleError, match=text):
        progress.set_cursor(1)
    with progress.step("a"):
        with pytest.raises(LifecycleError, match=text):
            progress.set_cursor(1)
        with pytest.raises(LifecycleError, match=text):
            progress.checkpoint(cursor=1)


def test_a_step_within_a_step_is_refused_and_the_outer_one_goes_on() -> None:
    """A failure after the inner one would resume there, and never come there again."""
    progress = Progress({})
    with progress.step("outer"):
        with (
            pytest.raises(ValidationError, match='"inner" cannot begin while step "outer" runs'),
            progress.step("inner"),
        ):
            pass
        progress.checkpoint()
    assert progress.updates() == {STEP_KEY: "outer"}


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800"])
def test_a_name_that_cannot_be_stored_is_refused(name: str) -> None:
    with pytest.raises(ValidationError), Progress({}).step(name):
        pass


@pytest.mark.parametrize("cursor", [None, object(), float("nan"), "a\0b"])
def test_a_cursor_that_cannot_be_stored_is_refused_where_it_is_set(cursor: object) -> None:
    progress = Progress({})
    with progress.step("a", takes_cursor=True), pytest.raises(PayloadError):
        progress.set_cursor(cursor)


class Place(msgspec.Struct, frozen=True):
    page: int
    since: datetime | None = None


@pytest.mark.parametrize(
    ("cursor", "kind"),
    [
        (7, int),
        ("x", str),
        ([1, 2], list[int]),
        ({"page": 1}, Place),
        ((1, "a"), tuple[int, str]),
        (Place(2), Place),
        (datetime.fromisoformat("2030-01-01T00:00:00+00:00"), datetime),
    ],
)
def test_a_cursor_comes_back_as_the_type_asked_for(cursor: Any, kind: Any) -> None:
    job = Attempts()
    job.fail(partial(keep_cursor, cursor))
    seen: list[Any] = []
    progress = Progress(job.metadata)
    run_cursor_step(progress, "a", seen.append, cursor_type=kind, default=None)
    assert seen == [msgspec.convert(msgspec.to_builtins(cursor), kind)]


def test_a_cursor_of_another_type_fails_the_step_with_its_name() -> None:
    with pytest.raises(PayloadError) as raised:
        decode_cursor("a", "x", int)
    text = 'river: unmarshal resumable cursor for step "a": Expected `int`, got `str`'
    assert str(raised.value) == text


@pytest.mark.parametrize("default", [0, "", [], Place(1)])
def test_without_a_cursor_the_default_is_given_and_says_the_type(default: Any) -> None:
    seen: list[Any] = []
    run_cursor_step(Progress({}), "a", seen.append, cursor_type=None, default=default)
    assert seen == [default]
    progress = Progress({CURSOR_KEY: {"a": {"not": "it"}}})
    with pytest.raises(PayloadError, match="unmarshal resumable cursor"):
        run_cursor_step(progress, "a", seen.append, cursor_type=None, default=default)


@pytest.mark.parametrize("odd", [1, None, "", [], {"x": 1}])
def test_what_another_program_left_under_the_keys_is_no_progress(odd: object) -> None:
    progress = Progress({STEP_KEY: odd, CURSOR_KEY: [odd]})
    with progress.step("a") as runs:
        assert runs
    progress.check_end()


def test_a_checkpoint_is_the_step_and_all_cursors_there_are() -> None:
    progress = Progress({CURSOR_KEY: {"b": 2}})
    with pytest.raises(LifecycleError, match="not inside a resumable step; must be called from"):
        progress.checkpoint()
    with progress.step("a", takes_cursor=True):
        assert progress.checkpoint() == ("a", {"b": 2})
        assert progress.checkpoint(cursor=1) == ("a", {"a": 1, "b": 2})


def checkpoint(progress: Progress, *cursors: int, certain: int | None = None) -> None:
    """A cursor step that writes checkpoints and then fails."""
    with suppress(RuntimeError), progress.step("b", takes_cursor=True):
        if certain is not None:
            progress.set_cursor(certain)
        for cursor in cursors:
            progress.checkpoint(cursor=cursor)
        failing()


@pytest.mark.parametrize(
    ("committed", "certain", "expected"),
    [
        ({STEP_KEY: "b", CURSOR_KEY: {"b": 2}}, None, {STEP_KEY: "b", CURSOR_KEY: {"b": 2}}),
        ({STEP_KEY: "b", CURSOR_KEY: {"b": 1}}, None, {STEP_KEY: "b", CURSOR_KEY: {"b": 1}}),
        ({}, None, {STEP_KEY: "a", CURSOR_KEY: None}),
        ({}, 7, {STEP_KEY: "a", CURSOR_KEY: {"b": 7}}),
    ],
    ids=["both committed", "the last rolled back", "none committed", "a cursor of its own before"],
)
def test_of_a_checkpoint_only_what_was_committed_counts(
    committed: dict[str, Any], certain: int | None, expected: dict[str, Any]
) -> None:
    """River takes a checkpoint for written even if its transaction is rolled back: work is lost."""
    progress = Progress({})
    with progress.step("a"):
        pass
    checkpoint(progress, 1, 2, certain=certain)
    assert progress.in_doubt
    progress.settle(committed)
    assert progress.updates() == expected


def test_a_checkpoint_of_a_step_that_ended_well_is_not_in_doubt() -> None:
    progress = Progress({})
    with progress.step("b", takes_cursor=True):
        progress.checkpoint(cursor=1)
    assert not progress.in_doubt
    assert progress.updates() == {STEP_KEY: "b", CURSOR_KEY: None}


def test_where_the_row_cannot_be_asked_what_it_says_is_left_alone() -> None:
    progress = Progress({})
    checkpoint(progress, 1)
    progress.settle(None)
    assert progress.updates() == {}
