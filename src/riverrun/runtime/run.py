"""One life of a service, from start to stop: its scope, its tasks, and how they are brought to an end.

`service.py` has the whole picture. This module keeps one promise: however the tasks of a run end,
`started` and `stopped` are set. So nothing here is a coroutine that could itself be cancelled: all of
it happens in callbacks of tasks, of the scope and of one timer.
"""

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
import logging
from typing import Any, TypeVar

from riverrun.model.errors import LifecycleError
from riverrun.runtime.scope import Cause, Scope

logger = logging.getLogger(__name__)

T = TypeVar("T")

RECANCELS = 3
"""How often a task that ignores its cancellation is cancelled again before it is given up."""


class ServiceState(StrEnum):
    """Where in its life a service is."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class ServiceStopped(LifecycleError):  # noqa: N818
    """The service was stopped before it had started."""


class StopFromWithin(LifecycleError):  # noqa: N818
    """A part of the service asked it to stop, and cannot wait for its own end; the stop goes on."""


class Patience:
    """How long the end of a run is waited for.

    `stop_grace` is how many seconds `run` may take to return by itself (None: as many as it likes), then its tasks
    are cancelled; `cancel_grace` how many they may take to end, then they are cancelled again, three
    times, every `recancel_every` seconds, then given up.
    """

    stop_grace: float | None = None
    cancel_grace: float = 5.0
    recancel_every: float = 1.0
