"""Metadata with which a job begins as if an earlier attempt had come so far already."""

from collections.abc import Mapping
from typing import Any

from riverrun.worker.resumable import CURSOR_KEY, STEP_KEY


def resumable_step_after(step: str, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Metadata of a job whose steps up to `step` are completed; keeps the keys of `metadata`.

    Example:
        >>> resumable_step_after("charge", {"by": "me"})
        {'by': 'me', 'river:resumable_step': 'charge'}
    """
    return {**(metadata or {}), STEP_KEY: step}


def resumable_step_at_cursor(
    step: str, cursor: Any, metadata: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The same for a job that is to go on within `step`, at `cursor`.

    Example:
        >>> resumable_step_at_cursor("pages", 7)
        {'river:resumable_step': 'pages', 'river:resumable_cursor': {'pages': 7}}
    """
    given = dict(metadata or {})
    cursors: dict[str, Any] = given.get(CURSOR_KEY) or {}
    return {**given, STEP_KEY: step, CURSOR_KEY: {**cursors, step: cursor}}
