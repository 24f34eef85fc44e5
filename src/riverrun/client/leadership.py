"""What a client knows of leadership, through all its starts and stops.

It is told each sign by the elector and the services that follow from it, passes it on as a metric, and
keeps what outlives a start: whether the client may lead, and the last gains and losses. All else is
looked up when somebody asks.
"""

from collections import deque
from datetime import timedelta

from riverrun.client.config import Config
from riverrun.client.leadership_snapshot import (
    Leader,
    LeadershipSnapshot,
    LeadershipTransition,
    ServiceSnapshot,
)
from riverrun.drivers.operations.leader import LeaderRow, elected_at_text
from riverrun.model.errors import LifecycleError
from riverrun.model.extension import Extensions
from riverrun.model.leadership import LeadershipMetric, LeadershipSign
from riverrun.model.leadership_states import LeadershipState, MaintenanceState
from riverrun.runtime.elector import Elector
from riverrun.runtime.maintainer import Maintainer
from riverrun.runtime.service import PeriodicService
from riverrun.runtime.term import LeadershipEvent
from riverrun.runtime.upkeep import Health, Upkeep
from riverrun.worker.metrics import Metrics

REMEMBERED = 20
PATIENCE = 60.0
"""Seconds without maintenance after which a client is unhealthy."""


class Leadership:
    """Made once for a client; each start of a client that may lead attaches its parts."""

    def __init__(self, config: Config, extensions: Extensions) -> None:
        self._config = config
        self._clock = config.clock
        self._metrics = Metrics(extensions.metric_emit)
        self._wanted = True
        self._transitions: deque[LeadershipTransition] = deque(maxlen=REMEMBERED)
        self._elector: Elector | None = None
        self._maintainer: Maintainer | None = None
        self.epoch = 0
        """The number of its latest term; it goes on through all starts."""
        self._was_maintaining = False
        self._maintained = 0.0

    def attach(self, elector: Elector, maintainer: Maintainer) -> None:
        """These are the parts of the start that follows."""
        self._elector, self._maintainer = elector, maintainer
        self._was_maintaining, self._maintained = False, self._clock.monotonic()
        elector.eligible = self._wanted
        elector.subscribe(self._on_change)

    def observe(self, metric: LeadershipMetric) -> None:
        """Something has happened."""
        self._look()
        if self._metrics:
            self._metrics.emit(metric)

    @property
    def can_lead(self) -> bool:
        """Whether a client with this configuration could ever lead."""
        return self._config.works_jobs and not self._config.leader_election_disabled

    @property
    def eligible(self) -> bool:
        return self.can_lead and self._wanted

    @eligible.setter
    def eligible(self, eligible: bool) -> None:
        if eligible and not self.can_lead:
            raise LifecycleError(
                "this client can never lead: it has no queues, or leader_election_disabled is set"
            )
        self._wanted = eligible
        if self._elector is not None:
            self._elector.eligible = eligible

    def snapshot(self) -> LeadershipSnapshot:
        """What is believed now."""
        elector, maintainer = self._elector, self._maintainer
        term = None if elector is None else elector.term
        tenure = None if maintainer is None else maintainer.tenure
        leader = None if elector is None or term is not None else elector.rivals.leader
        return LeadershipSnapshot(
            client_id=self._config.id,
            state=LeadershipState.STOPPED if elector is None else elector.phase,
            is_leader=elector is not None and elector.is_leader,
            eligible=self.eligible,
            epoch=self.epoch,
            term=None if term is None else term.id,
            since=None if term is None else term.since,
            trusted_remaining=None if term is None else _seconds(max(term.remaining(), 0)),
            last_renewal_age=None if term is None else self._ago(term.renewed),
            consecutive_errors=0 if elector is None else elector.errors,
            abstaining_for=_seconds(0 if elector is None else elector.abstains_for),
            leader=None if leader is None else leader_of(leader),
            maintenance=MaintenanceState.OFF if maintainer is None else maintainer.maintenance,
            services=() if tenure is None else tuple(map(self._service, tenure.upkeeps)),
            failed_terms=0 if maintainer is None else maintainer.failed_terms,
            quarantined=0 if maintainer is None else maintainer.left_behind,
            transitions=tuple(self._transitions),
            problems=tuple(self._problems()),
        )

    def _on_change(self, event: LeadershipEvent) -> None:
        tenure, self.epoch = _seconds(event.tenure), event.term.epoch
        self._transitions.append(
            LeadershipTransition(
                is_leader=event.is_leader,
                reason=event.reason,
                epoch=event.term.epoch,
                at=event.at,
                tenure=tenure,
            )
        )
        sign = LeadershipSign.GAINED if event.is_leader else LeadershipSign.LOST
        duration = None if event.is_leader else tenure
        self.observe(LeadershipMetric(name=sign, reason=event.reason, duration=duration))
        if self._elector is not None and not event.is_leader and self._elector.abstains_for > 0:
            pause = _seconds(self._elector.abstains_for)
            self.observe(LeadershipMetric(name=LeadershipSign.ABSTAINING, duration=pause))

    def _look(self) -> None:
        """Keep in mind until when we maintained; there is a sign whenever that begins or ends."""
        is_maintaining = self._is_maintaining()
        if is_maintaining or self._was_maintaining:
            self._maintained = self._clock.monotonic()
        self._was_maintaining = is_maintaining

    def _is_maintaining(self) -> bool:
        maintainer = self._maintainer
        return maintainer is not None and maintainer.maintenance is MaintenanceState.RUNNING

    def _problems(self) -> list[str]:
        """What is wrong with a client that runs; of another that is not to be known."""
        elector, maintainer = self._elector, self._maintainer
        if elector is None or maintainer is None or elector.phase is LeadershipState.STOPPED:
            return []
        problems: list[str] = []
        idle = self._clock.monotonic() - max(self._maintained, elector.rivals.led)
        if idle > PATIENCE and not self._is_maintaining():
            problems.append(self._why_idle(elector, maintainer, idle))
        if not maintainer.may_lead():
            problems.append(
                f"{maintainer.left_behind} maintenance tasks ignore their cancellation: this client "
                f"makes no bid any more; restart its process"
            )
        return problems

    def _why_idle(self, elector: Elector, maintainer: Maintainer, seconds: float) -> str:
        if elector.term is None:
            errors = f"; {elector.errors} looks failed in a row" if elector.errors else ""
            return f"nobody leads for {seconds:.0f} s, as seen from here{errors}"
        upkeeps = [] if maintainer.tenure is None else maintainer.tenure.upkeeps
        errors = "; ".join(
            self._failure(upkeep.health) for upkeep in upkeeps if upkeep.health.error
        )
        return f"this client leads, and maintenance is not complete for {seconds:.0f} s: {errors}"

    def _failure(self, health: Health) -> str:
        again = self._until(health.next_attempt_at)
        when = "" if again is None else f" (next attempt in {again.total_seconds():.0f} s)"
        return f"{health.name}: {health.error}{when}"

    def _service(self, upkeep: Upkeep) -> ServiceSnapshot:
        health = upkeep.health
        rounds = upkeep.service if isinstance(upkeep.service, PeriodicService) else None
        return ServiceSnapshot(
            name=health.name,
            state=health.state,
            attempt=health.attempt,
            failed_attempts=health.failures,
            max_attempts=health.max_attempts,
            restarts=health.restarts,
            last_pass=None if rounds is None else self._ago(rounds.last_done),
            busy_for=None if rounds is None else self._ago(rounds.busy_since),
            last_error=health.error,
            next_attempt_in=self._until(health.next_attempt_at),
            warnings=() if rounds is None else tuple(rounds.warnings),
        )

    def _ago(self, moment: float | None) -> timedelta | None:
        return None if moment is None else _seconds(max(self._clock.monotonic() - moment, 0))

    def _until(self, moment: float | None) -> timedelta | None:
        return None if moment is None else _seconds(max(moment - self._clock.monotonic(), 0))


def leader_of(row: LeaderRow) -> Leader:
    """The row for those who only look at it."""
    return Leader(
        leader_id=row.leader_id,
        elected_at=elected_at_text(row.elected_at),
        expires_at=row.expires_at,
    )


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
