"""Builds River's indexes anew at night: those of a busy queue grow, full of rows that are long gone.

On PostgreSQL everybody works on meanwhile. The server then builds a second index beside the first and
lets them change places; if it is broken off, that second one stays behind, costs every write its time
and is of no use (an *artifact*). So:

- a build that is broken off because we have to stop (an orderly stop, or another client leads) is
  cleaned up after: what it has left is dropped, though the term is over;
- one that takes too long is not, since the next would take as long: it is left for people to see;
- an index with an artifact is not built again. A build that is found left over by two rounds in a row,
  with nobody at work on it, is dropped and tried once more, once in the life of the client.

On SQLite a build holds the write lock, and leaves nothing behind.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import random as _random
from typing import Any

from riverrun.drivers.operations.indexes import IndexArtifact, IndexOperations
from riverrun.model.errors import RiverError, StatementTimeoutError
from riverrun.model.schedule import Schedule
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import PeriodicService

logger = logging.getLogger("riverrun.maintenance")

A_DAY = timedelta(days=1)

CLEAN_UP = 15.0
"""Seconds in which what a broken-off build has left must be gone."""

DEFAULT_INDEXES = (
    "river_job_args_index",
    "river_job_kind",
    "river_job_metadata_index",
    "river_job_pkey",
    "river_job_prioritized_fetching_index",
    "river_job_state_and_finalized_at_index",
    "river_job_unique_idx",
)
NEVER = datetime.max.replace(tzinfo=UTC)
_NOT_ON_SQLITE = {"river_job_args_index", "river_job_metadata_index", "river_job_pkey"}


class EveryMidnight:
    """At the beginning of each day, in UTC.

    Example:
        >>> from datetime import UTC, datetime
        >>> str(EveryMidnight().next(datetime(2026, 8, 5, tzinfo=UTC)))
        '2026-08-06 00:00:00+00:00'
    """

    def next(self, after: datetime, /) -> datetime:
        tomorrow = after.astimezone(UTC) + A_DAY
        return tomorrow.replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReindexerOptions:
    """When, what, and how long one index may take, in seconds; None for any time.

    `schedule` is any object whose `next` gives the first time after another, or None for never.
    Without `indexes` it is those that River has on this database; an empty list means none at all.
    `repair` lets artifacts of earlier attempts be dropped, once for each index.
    """

    schedule: Schedule = field(default_factory=EveryMidnight)
    indexes: Sequence[str] | None = None
    timeout: float | None = 60.0
    repair: bool = True


class ReindexerMemory:
    """What outlives a term: the artifacts that were there, by index, and what was repaired."""

    def __init__(self) -> None:
        self.found: dict[str, Sequence[IndexArtifact]] = {}
        self.seen: set[int] = set()
        """Those that were once in the way, by the server's number."""
        self.repaired: set[str] = set()


class Reindexer(PeriodicService):
    """Leader only; at the times of its schedule, and never right after the start.

    The next time is reckoned from the last planned one, so a round that fails is not repeated early,
    and one that takes longer than the period is followed by the next at once.
    """

    stop_grace = CLEAN_UP + 1.0

    def __init__(
        self,
        db: DatabaseHandle,
        options: ReindexerOptions | None = None,
        memory: ReindexerMemory | None = None,
        *,
        random: Callable[[], float] = _random,
    ) -> None:
        super().__init__(db.clock, random=random)
        self._db = db
        self._options = options or ReindexerOptions()
        self._memory = memory or ReindexerMemory()
        self._names = _names(self._options.indexes, is_postgres=self._is_postgres)
        self._planned = db.clock.now()
        if self._options.timeout is None:
            self.stall_after = math.inf
        else:
            self.stall_after = 3 * self._options.timeout * max(len(self._names), 1)

    @property
    def warnings(self) -> Sequence[str]:
        return [
            f"{artifact.name} ({artifact.size / 1e6:.1f} MB) is left of a rebuild of {name}"
            for name, artifacts in self._memory.found.items()
            for artifact in artifacts
        ]

    async def prepare(self) -> None:
        self._planned = self._after(self._db.clock.now())

    async def tick(self) -> float:
        if (pause := self._until_planned()) > 0:
            return pause
        self._planned = self._after(self._planned)
        try:
            await self._reindex_all()
        except Exception:
            logger.exception("%s: round failed, next as planned", self.name)
        return max(self._until_planned(), 0)

    def _until_planned(self) -> float:
        return (self._planned - self._db.clock.now()).total_seconds()

    def _after(self, time: datetime) -> datetime:
        """The next time of the schedule; one that makes no sense must not make us spin."""
        try:
            planned = self._options.schedule.next(time) or NEVER
            if planned > time:
                return planned
            problem: object = f"{planned} is not after {time}"
        except BaseException as error:  # noqa: BLE001 - P14: the schedule is the user's
            problem = repr(error)
        logger.error("%s: the schedule is of no use, next in a day: %s", self.name, problem)
        return max(time, self._db.clock.now()) + A_DAY

    async def _reindex_all(self) -> None:
        built = 0
        for name in await self._existing():
            if not self.scope.cancelled:
                built += await self._reindex_or_say(name)
        if built:
            logger.info("%s: Ran successfully: %d indexes built anew", self.name, built)

    async def _existing(self) -> list[str]:
        if not self._names:
            return []
        found = await self._db.run(self._operations.existing(self._names))
        missing = [name for name in self._names if name not in found]
        if missing:
            logger.warning("%s: there is no index %s", self.name, ", ".join(missing))
        return found

    async def _reindex_or_say(self, name: str) -> bool:
        """Build one index anew; an error is logged and keeps no other index from its turn."""
        built = False
        try:
            before = await self._artifacts(name)
            built = await self._may_build(name, before) and await self._build(name, before)
        except RiverError as error:
            logger.error("%s: %s was not built anew: %s", self.name, name, error)  # noqa: TRY400
        with suppress(RiverError):  # only so that `warnings` are of now
            await self._artifacts(name)
        return built

    async def _artifacts(self, name: str) -> list[IndexArtifact]:
        """What there is of them, which `warnings` tells from then on."""
        if not self._is_postgres:
            return []
        found = await self._db.run(self._operations.artifacts(name))
        self._memory.found[name] = found
        return found

    async def _may_build(self, name: str, artifacts: Sequence[IndexArtifact]) -> bool:
        """Whether nothing is in the way, or could be put out of it."""
        if not artifacts:
            return True
        if self._may_repair(name, artifacts):
            self._memory.repaired.add(name)
            logger.warning("%s: %s: dropping %s, once", self.name, name, _listed(artifacts))
            for artifact in artifacts:
                await self._db.run(self._operations.drop(artifact.name))
            return True
        self._memory.seen.update(artifact.oid for artifact in artifacts)
        logger.warning(
            "%s: %s is skipped: there is %s, of another build or of one that was broken off; "
            "in the latter case drop it with DROP INDEX CONCURRENTLY",
            self.name, name, _listed(artifacts),
        )  # fmt: skip
        return False

    def _may_repair(self, name: str, artifacts: Sequence[IndexArtifact]) -> bool:
        return (
            self._options.repair
            and name not in self._memory.repaired
            and all(_is_left_over(a) and a.oid in self._memory.seen for a in artifacts)
        )

    async def _build(self, name: str, before: Sequence[IndexArtifact]) -> bool:
        """Build it; whatever ends the run ends the build, and is followed by the clean-up."""
        timeout = math.inf if self._options.timeout is None else self._options.timeout
        statement = self._operations.reindex(name, timeout=timeout)
        build = asyncio.create_task(self._db.run_long(statement), name=f"{self.name}: {name}")
        self.scope.add_task(build)
        try:
            await asyncio.wait({build})
        except asyncio.CancelledError:
            if (
                not build.cancelling()
            ):  # a second time would keep the driver from ending it in order
                build.cancel()
            await self._clean_up(build, name, before)
            raise
        if self._is_broken_off(build):
            await self._clean_up(build, name, before)
            return False
        await build
        return True

    def _is_broken_off(self, build: "asyncio.Task[Any]") -> bool:
        """Whether the build ended because we have to, however that showed; not if time ran out."""
        if self.scope.cause in (None, Cause.TIMEOUT):
            return False
        error = _error_of(build)
        return error is not None and not isinstance(error, StatementTimeoutError)

    async def _clean_up(
        self, build: "asyncio.Task[Any]", name: str, before: Sequence[IndexArtifact]
    ) -> None:
        """Drop what the build has left, and nothing else: a newer leader may be building already."""
        old = {artifact.oid for artifact in before}
        try:
            async with asyncio.timeout(CLEAN_UP):
                await asyncio.wait({build})
                _error_of(build)  # looked at, so that asyncio does not complain
                for artifact in await self._db.clean_up(self._operations.artifacts(name)):
                    if artifact.oid not in old:
                        await self._drop(name, artifact)
        except (RiverError, TimeoutError) as error:
            logger.warning("%s: %s: artifacts may be left: %r", self.name, name, error)

    async def _drop(self, name: str, artifact: IndexArtifact) -> None:
        if not _is_left_over(artifact):
            logger.warning("%s: %s: %s is left, it is in use", self.name, name, artifact.name)
            return
        await self._db.clean_up(self._operations.drop(artifact.name, timeout=CLEAN_UP))
        logger.info("%s: %s: broken off, %s dropped", self.name, name, artifact.name)

    @property
    def _operations(self) -> IndexOperations:
        return self._db.operations.indexes

    @property
    def _is_postgres(self) -> bool:
        return self._db.database.dialect.is_postgres


def _names(indexes: Sequence[str] | None, *, is_postgres: bool) -> list[str]:
    if indexes is not None:
        return list(indexes)
    return [name for name in DEFAULT_INDEXES if is_postgres or name not in _NOT_ON_SQLITE]


def _is_left_over(artifact: IndexArtifact) -> bool:
    """Whether nobody uses it and nobody is building it."""
    return not artifact.usable and not artifact.building


def _error_of(build: "asyncio.Task[Any]") -> BaseException | None:
    return asyncio.CancelledError() if build.cancelled() else build.exception()


def _listed(artifacts: Sequence[IndexArtifact]) -> str:
    return ", ".join(artifact.name for artifact in artifacts)
