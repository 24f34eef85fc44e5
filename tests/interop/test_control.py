"""Jobs and queues of one are controlled by the other."""

from tests.interop.conftest import Pair


def test_a_running_job_is_cancelled_by_the_other(pair: Pair) -> None:
    one, other = pair
    other.start()
    job_id = one.insert("wait")["id"]
    other.event("working", job_id=job_id)
    assert one.ask("cancel", job_id)["state"] == "running"
    assert other.event("job_cancelled", job_id=job_id)["job"]["state"] == "cancelled"
    assert one.ask("get", job_id)["state"] == "cancelled"


def test_a_waiting_job_is_cancelled_by_the_other(pair: Pair) -> None:
    one, other = pair
    job_id = one.insert("complete")["id"]
    assert other.ask("cancel", job_id)["state"] == "cancelled"
    assert one.ask("get", job_id)["state"] == "cancelled"


def test_a_job_that_the_other_discarded_is_retried(pair: Pair) -> None:
    """It is granted one more attempt, and worked again."""
    one, other = pair
    other.start()
    job_id = one.insert("fail", max_attempts=1)["id"]
    assert other.ended(job_id)["state"] == "discarded"
    retried = one.ask("retry", job_id)
    assert (retried["state"], retried["max_attempts"]) == ("available", 2)
    assert other.ended(job_id)["attempt"] == 2


def test_a_job_that_was_cancelled_is_retried_by_the_other_and_not_cancelled_again(
    pair: Pair,
) -> None:
    one, other = pair
    other.start()
    job_id = one.insert("wait")["id"]
    other.event("working", job_id=job_id)
    one.ask("cancel", job_id)
    other.event("job_cancelled", job_id=job_id)
    one.ask("retry", job_id)
    assert other.event("working", job_id=job_id)["job"]["attempt"] == 2
    other.ask("stop", "cancel")
    assert other.ended(job_id)["state"] == "available"


def test_a_queue_that_the_other_pauses_starts_nothing_until_it_resumes(pair: Pair) -> None:
    """A job of another queue, inserted later, shows that there was time to start it."""
    one, other = pair
    other.start(["default", "second"])
    one.ask("pause", "default")
    assert other.event("queue_paused")["queue"] == "default"
    waiting = one.insert("complete")["id"]
    other.ended(one.insert("complete", queue="second")["id"])
    assert one.ask("get", waiting)["state"] == "available"
    one.ask("resume", "default")
    assert other.event("queue_resumed")["queue"] == "default"
    assert other.ended(waiting)["state"] == "completed"


def test_a_job_that_a_stop_interrupts_is_worked_by_the_other(pair: Pair) -> None:
    """Its attempt was not counted."""
    one, other = pair
    one.start()
    job_id = other.insert("wait")["id"]
    one.event("working", job_id=job_id)
    one.ask("stop", "cancel")
    assert one.ended(job_id)["state"] == "available"
    other.start()
    assert other.event("working", job_id=job_id)["job"]["attempt"] == 1
