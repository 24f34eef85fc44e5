"""The traceback that is stored with a failed attempt: the user's frames, without ours around them."""

import traceback
from pathlib import Path

from riverrun.model import codec
from riverrun.model.errors import ProcessJobError
from riverrun.runtime import child_process, processes, threads

MAX_FRAMES = 100

_HERE = Path(__file__).parent
_OURS = frozenset(
    {
        *(str(_HERE / name) for name in ("attempt.py", "context.py", "executor.py")),
        *(str(_HERE / name) for name in ("function_job.py", "job_logs.py", "steps.py")),
        *(str(_HERE / name) for name in ("pipeline.py", "registry.py")),
        *(str(_HERE / name) for name in ("process_child.py", "process_engine.py")),
        codec.__file__,
        child_process.__file__,
        processes.__file__,
        threads.__file__,
    }
)
"""The files through which calls go on their way to the user's code."""


def trace_of(error: BaseException) -> str:
    """The traceback from the user's first frame on, without the values of local variables.

    Empty if no code of the user's was involved: what went wrong stands in the error itself.
    """
    if type(error) is ProcessJobError and error.__cause__ is None:
        return error.trace
    try:
        summary = traceback.TracebackException.from_exception(
            error, limit=-MAX_FRAMES, compact=True
        )
        return "".join(summary.format()) if _keep_theirs(summary) else ""
    except BaseException:  # noqa: BLE001 - formatting runs the user's own __str__
        return ""


def _keep_theirs(summary: traceback.TracebackException | None) -> bool:
    """Take our frames out of an exception and those it came from; whether any is left."""
    if summary is None:
        return False
    summary.stack[:] = [frame for frame in summary.stack if frame.filename not in _OURS]
    causes = [summary.__cause__, summary.__context__, *(getattr(summary, "exceptions", None) or ())]
    found = [_keep_theirs(cause) for cause in causes]
    return bool(summary.stack) or any(found)
