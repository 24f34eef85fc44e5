"""Metadata and output of the job that is being worked, for any code that runs in its attempt."""

from typing import Any

import msgspec

from riverrun.model.job_metadata import OUTPUT
from riverrun.worker.context import current_context, work_context


def record_output(value: Any) -> None:
    """`Job.record_output` of the job that is being worked, from wherever in its attempt.

    Besides what that raises, `LifecycleError` where no job is being worked.
    """
    work_context("record_output must be called within a Worker").record_output(value)


def set_metadata(key: str, value: Any) -> None:
    """`Job.set_metadata` of the job that is being worked: from its handler, middleware or work hooks.

    Besides what that raises, `LifecycleError` where no job is being worked.
    """
    context = work_context(
        "set_metadata must be called within a worker, worker middleware, or work hook"
    )
    context.set_metadata(key, value)


def recorded_output() -> Any:
    """The output that the current attempt has recorded; `msgspec.UNSET` if none, or no attempt is."""
    context = current_context()
    if context is None or context.updates is None:
        return msgspec.UNSET
    return context.updates.get(OUTPUT, msgspec.UNSET)
