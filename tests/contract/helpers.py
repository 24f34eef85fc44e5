"""What the tests of both databases wait for."""

from riverrun import Event, EventKind, JobRow, Subscription


async def event(events: Subscription, kind: EventKind | str, job_id: int | None = None) -> JobRow:
    """The row with the next event of `kind`, of one job if it is named."""
    async for found in events:
        if found.kind == kind and found.job is not None and job_id in (None, found.job.id):
            return found.job
    raise AssertionError(f"the events ended without {kind}")


async def queue_event(events: Subscription, kind: EventKind | str) -> Event:
    """The next event of `kind`, whatever it is about."""
    async for found in events:
        if found.kind == kind:
            return found
    raise AssertionError(f"the events ended without {kind}")
