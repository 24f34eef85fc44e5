"""The periodic jobs that a client can be started with."""

from conformance.workers import EchoArgs
from riverrun import InsertOptions, PeriodicJob, UniqueOptions, every

HOUR = 3600


def periodic_jobs(*, unique: bool) -> list[PeriodicJob]:
    """One job, and where it is unique a marker behind it, which shows that it was tried."""
    options = UniqueOptions(by_args=True, by_queue=True) if unique else None
    job = PeriodicJob(
        every(HOUR),
        lambda: EchoArgs(message="periodic run on start"),
        id="conformance-periodic",
        run_on_start=True,
        options=InsertOptions(unique=options),
    )
    marker = PeriodicJob(
        every(HOUR),
        lambda: EchoArgs(message="periodic marker"),
        id="conformance-periodic-marker",
        run_on_start=True,
    )
    return [job, marker] if unique else [job]
