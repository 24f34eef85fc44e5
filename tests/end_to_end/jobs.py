"""The args of the jobs in `apps/app.py`, for whoever only inserts them."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Say:
    kind: ClassVar[str] = "say"
    text: str


@dataclass(frozen=True)
class WaitForInput:
    kind: ClassVar[str] = "wait_for_input"


@dataclass(frozen=True)
class IgnoreCancellation:
    kind: ClassVar[str] = "ignore_cancellation"
