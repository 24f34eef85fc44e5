"""What the leader of one language does for the jobs of the other."""

import pytest

from tests.interop.conftest import Pair
from tests.interop.peer import RefusedError
from tests.interop.reading import change_jobs, query, until

LONG_AGO = "'2000-01-01 00:00:00'"


def test_the_leader_makes_the_others_scheduled_jobs_available(
    pair: Pair, database_url: str
) -> None:
    leader, worker = pair
    worker.start(never_leads=True)
    job_id = worker.insert("complete", scheduled_at="2100-01-01T00:00:00+00:00")["id"]
    change_jobs(database_url, f"scheduled_at = {LONG_AGO}")
    leader.start(["elsewhere"])
    assert worker.ended(job_id)["state"] == "completed"


def test_the_leader_rescues_the_jobs_of_a_client_that_was_killed(
    pair: Pair, database_url: str
) -> None:
    leader, worker = pair
    worker.start(never_leads=True)
    job_id = leader.insert("wait")["id"]
    worker.event("working", job_id=job_id)
    worker.kill()
    change_jobs(database_url, f"attempted_at = {LONG_AGO}")
    leader.start(["elsewhere"])
    until(database_url, "select state <> 'running' from river_job")
    row = leader.ask("get", job_id)
    assert row["state"] in ("retryable", "available")  # a second later, if the scheduler was there
    assert row["attempt"] == 1
    assert row["metadata"]["river:rescue_count"] == 1


def test_the_leader_deletes_jobs_that_the_other_ended_long_ago(
    pair: Pair, database_url: str
) -> None:
    leader, worker = pair
    worker.start(never_leads=True)
    old, new = [worker.insert("complete")["id"] for _ in range(2)]
    for job_id in (old, new):
        worker.ended(job_id)
    change_jobs(database_url, f"finalized_at = {LONG_AGO} where id = {old}")
    leader.start(["elsewhere"])
    until(database_url, "select count(*) = 1 from river_job")
    with pytest.raises(RefusedError):
        worker.ask("get", old)
    assert worker.ask("get", new)["state"] == "completed"


DISCARDS = {"go": True, "python": False}


def test_stuck_jobs_of_a_kind_that_the_leader_does_not_know(pair: Pair, database_url: str) -> None:
    """A trap: River discards them. Ours are tried again, unless you say otherwise."""
    leader, other = pair
    stuck = {"kind": f"only_{other.language}", "args": {}}
    other.ask("insert", [stuck])
    change_jobs(database_url, f"state = 'running', attempt = 1, attempted_at = {LONG_AGO}")
    leader.start(["elsewhere"])
    until(database_url, "select state <> 'running' from river_job")
    ((state,),) = query(database_url, "select state from river_job")
    assert (state == "discarded") is DISCARDS[leader.language]


def test_whoever_leads_inserts_its_own_periodic_jobs_alone(pair: Pair, database_url: str) -> None:
    one, other = pair
    one.start(["elsewhere"], periodic=True)
    one.event("leading")
    other.start(["elsewhere"], periodic=True)
    until(database_url, "select count(*) = 1 from river_job")
    one.ask("stop")
    until(database_url, "select count(*) = 2 from river_job")
    other.event("leading")
    rows = [other.ask("get", job_id) for job_id in (1, 2)]
    notes = [f"periodic of {language}" for language in (one.language, other.language)]
    assert [row["args"]["note"] for row in rows] == notes
