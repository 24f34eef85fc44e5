"""Metadata and output of the job at hand, where there is one and where there is none."""

import threading
from typing import Any

import msgspec
import pytest

from riverrun import LifecycleError, PayloadError, ValidationError
from riverrun.model.job_metadata import MAX_OUTPUT_BYTES
from riverrun.worker.context import WorkContext, set_work_context
from riverrun.worker.current import record_output, recorded_output, set_metadata
from tests.support.attempts import an_attempt


@pytest.fixture
async def context() -> WorkContext:
    return an_attempt()


async def test_outside_of_an_attempt_there_is_nothing_to_set() -> None:
    with pytest.raises(LifecycleError, match="record_output must be called within a Worker"):
        record_output(1)
    expected = "set_metadata must be called within a worker, worker middleware, or work hook"
    with pytest.raises(LifecycleError, match=expected):
        set_metadata("key", 1)
    assert recorded_output() is msgspec.UNSET


async def test_values_are_checked_when_they_are_set(context: WorkContext) -> None:
    """One that cannot be stored must not leave the job running when it ends."""
    set_work_context(context)
    with pytest.raises(PayloadError):
        record_output(object())
    with pytest.raises(PayloadError):
        set_metadata("key", float("nan"))
    with pytest.raises(ValidationError, match="river:"):
        set_metadata("river:log", 1)
    assert context.updates is None


async def test_output_of_more_than_32_mib_is_refused(context: WorkContext) -> None:
    set_work_context(context)
    record_output("x" * (MAX_OUTPUT_BYTES - 2))
    with pytest.raises(ValidationError, match=r"output is too large: 33554433 bytes \(max 32 MB\)"):
        record_output("x" * (MAX_OUTPUT_BYTES - 1))


async def test_the_last_output_counts_and_none_is_one(context: WorkContext) -> None:
    set_work_context(context)
    assert recorded_output() is msgspec.UNSET
    set_metadata("other", 1)
    assert recorded_output() is msgspec.UNSET
    record_output(1)
    record_output(None)
    assert recorded_output() is None


async def test_what_is_stored_is_what_was_set_whatever_becomes_of_it(context: WorkContext) -> None:
    """As in River, which encodes an output at once; a later change could make it too large, or no JSON."""
    set_work_context(context)
    value: list[Any] = [1]
    record_output(value)
    set_metadata("key", value)
    value.append(object())
    assert context.updates == {"output": [1], "key": [1]}
    huge = msgspec.Raw(b"1e999")
    record_output(huge)
    assert recorded_output() is huge


def test_threads_that_set_at_once_lose_nothing() -> None:
    context = an_attempt()
    threads = [threading.Thread(target=context.set_metadata, args=(str(n), n)) for n in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert context.updates == {str(n): n for n in range(100)}
