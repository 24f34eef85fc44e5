"""Changes that tests make to rows, in the words of both databases."""

from tests.conformance.place import Place

RETRYABLE = {
    "postgres": "update river_job set state = 'retryable', scheduled_at = now() - interval '1 minute'"
    " where id = {}",
    "sqlite": "update river_job set state = 'retryable',"
    " scheduled_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 minute') where id = {}",
}
ABANDONED = {
    "postgres": "update river_job set state = 'running', attempt = 1, attempted_by = array['gone'],"
    " attempted_at = now() - interval '2 hours', metadata = '{{\"mine\": 1}}' where id = {}",
    "sqlite": "update river_job set state = 'running', attempt = 1, attempted_by = jsonb('[\"gone\"]'),"
    " attempted_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '-2 hours'),"
    " metadata = jsonb('{{\"mine\": 1}}') where id = {}",
}
EXPIRED = {
    "postgres": "update river_leader set expires_at = now() - interval '1 second',"
    " elected_at = now() - interval '1 hour'",
    "sqlite": "update river_leader set expires_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 second'),"
    " elected_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour')",
}
"""A lease that has run out; the constraint wants it to have been longer than nothing."""

OLD = {
    "postgres": "select bool_and(attempted_at < now() - interval '1600 milliseconds') from river_job"
    " where state = 'running'",
    "sqlite": "select max(attempted_at) < strftime('%Y-%m-%d %H:%M:%f', 'now', '-1.6 seconds')"
    " from river_job where state = 'running'",
}
"""Whether running jobs are due to be rescued after 1.5 seconds."""


async def make_retryable(place: Place, job_id: int) -> None:
    """The job waits to be retried, and is due."""
    await place.rows(RETRYABLE[place.driver].format(job_id))


async def abandon(place: Place, job_id: int) -> None:
    """The job runs since two hours, by a client that is gone."""
    await place.rows(ABANDONED[place.driver].format(job_id))


async def rename(place: Place, job_id: int, kind: str) -> None:
    """The job is of another kind."""
    await place.rows(f"update river_job set kind = '{kind}' where id = {job_id}")  # noqa: S608


async def expire_leader(place: Place) -> None:
    """The lease of whoever leads has run out."""
    await place.rows(EXPIRED[place.driver])
