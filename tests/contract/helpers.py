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


async def ended(events: Subscription, *job_ids: int) -> list[JobRow]:
    """The row of each of the jobs once its attempt has ended, in the order asked for."""
    rows: dict[int, JobRow] = {}
    while rows.keys() < set(job_ids):
        found = await events.get()
        assert found is not None, "the events ended"
        if found.job is not None and found.job.id in job_ids:
            rows[found.job.id] = found.job
    return [rows[job_id] for job_id in job_ids]
