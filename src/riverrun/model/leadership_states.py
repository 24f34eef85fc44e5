"""What leadership and the maintenance that goes with it can be at one moment, by name."""

from enum import StrEnum


class LeadershipState(StrEnum):
    """What a client does about leadership."""

    STOPPED = "stopped"
    FOLLOWER = "follower"
    LEADER = "leader"
    STEPPING_DOWN = "stepping_down"
    """It leads no more, and waits until the work of its term has ended."""
    ABSTAINING = "abstaining"
    """It makes no bid for a while, or may not lead at all."""


class LeadershipReason(StrEnum):
    """Why a term began or ended."""

    ELECTED = "elected"
    STOP = "stop"
    """The client stops."""
    REPLACED = "replaced"
    """The database says that the term is gone."""
    TRUST_EXPIRED = "trust_expired"
    """The lease could not be renewed in time, or the process slept."""
    LOOP_STALLED = "loop_stalled"
    """The event loop was blocked beyond the trust."""
    RESIGN_REQUESTED = "resign_requested"
    INELIGIBLE = "ineligible"
    MAINTENANCE_FAILED = "maintenance_failed"
    """Maintenance could not be started, or kept failing."""
    YIELDED = "yielded"
    """Maintenance is degraded: somebody else may try."""
    ELECTOR_FAILED = "elector_failed"

    @property
    def is_voluntary(self) -> bool:
        """Whether the lease is ours still, so that it can be kept until the work has ended."""
        return self not in (
            LeadershipReason.REPLACED,
            LeadershipReason.TRUST_EXPIRED,
            LeadershipReason.LOOP_STALLED,
        )


class MaintenanceState(StrEnum):
    """What the leader's services do, all in all."""

    OFF = "off"
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    """Some run; those that failed are tried again."""
    FAILED = "failed"
    """None runs; they are tried again."""
    DRAINING = "draining"


class MaintenanceServiceState(StrEnum):
    """Where one of the leader's services stands in this term."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    """It failed or died, and is tried again after a pause."""
    STOPPED = "stopped"
