"""Options that cannot work are refused with their name, before anything connects."""

from datetime import timedelta
from typing import Any

import pytest

from riverrun import Client, Config, ConfigurationError, DefaultRetryPolicy, Job, Workers
from riverrun.client.config import DEFAULT_JOB_TIMEOUT, RESCUE_AFTER


def workers() -> Workers:
    registry = Workers()

    @registry.job()
    def nothing() -> None: ...

    return registry


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cancelled_job_retention_period": -2}, "cancelled_job_retention_period: .*-1 for ever"),
        ({"completed_job_retention_period": "soon"}, "completed_job_retention_period"),
        ({"discarded_job_retention_period": -0.5}, "discarded_job_retention_period"),
        ({"fetch_cooldown": 0.0001}, "fetch_cooldown: .* too short"),
        ({"fetch_poll_interval": 0.0001}, "fetch_poll_interval: .* too short"),
        ({"queues": {"default": 1}, "fetch_poll_interval": 0.05}, "less than fetch_cooldown"),
        ({"id": "x" * 101}, "id: "),
        ({"id": ""}, "id: "),
        ({"job_timeout": -2}, "job_timeout: .*-1 means no limit"),
        ({"job_stuck_threshold": -1}, "job_stuck_threshold"),
        ({"max_attempts": -1}, "max_attempts"),
        ({"process_limit": 0}, "process_limit: 0 is below 1"),
        ({"process_max_jobs": 0}, "process_max_jobs: 0 is below 1"),
        ({"process_max_memory": "1 GB"}, "process_max_memory: '1 GB' cannot be used"),
        ({"loop_block_threshold": -1}, "loop_block_threshold"),
        ({"reindexer_timeout": -2}, "reindexer_timeout"),
        ({"rescue_stuck_jobs_after": -1}, "rescue_stuck_jobs_after"),
        ({"rescue_stuck_jobs_after": 10, "job_timeout": 11}, "is less than job_timeout"),
        ({"rescue_unknown_kinds": "delete"}, "give one of retry, discard, skip"),
        ({"on_persistent_start_failure": "stop"}, "give one of degrade, handover"),
        ({"isolate_start_failures": 1}, "isolate_start_failures: 1 cannot be used"),
        ({"schema": "x" * 47}, "schema"),
        ({"schema": 'a"b'}, "schema"),
        ({"queues": {"Upper": 1}}, r"queues\['Upper'\]"),
        ({"queues": {"default": 0}}, "invalid number of workers"),
        ({"queues": {"default": 10_001}}, "invalid number of workers"),
        ({"queues": {"default": 1}, "workers": None}, "workers are not"),
        ({"periodic_jobs": [object()], "leader_election_disabled": True}, "periodic_jobs"),
        ({"hooks": [object()]}, "hooks: .*does nothing there"),
        ({"poll_only": "false"}, "poll_only: 'false' cannot be used; give True or False"),
        ({"schema": 3}, "schema: 3 cannot be used; give text"),
        ({"error_handler": "log"}, "error_handler: 'log' cannot be used; give a function"),
        ({"periodic_jobs": object()}, "periodic_jobs: .* give a list"),
        ({"queue_retention": {"default": 5}}, r"queue_retention\['default'\]: 5 cannot be used"),
        ({"reindexer_index_names": "river_job_kind"}, "reindexer_index_names: .* a list of names"),
        ({"reindexer_schedule": "midnight"}, "an object with the method next"),
        ({"reindexer_timeout": 0}, "reindexer_timeout: .*-1 for no limit"),
        ({"retry_policy": DefaultRetryPolicy}, "an object with the method next_retry"),
        ({"fetch_coldown": 1}, "did you mean 'fetch_cooldown'"),
    ],
)
def test_an_option_that_cannot_work_is_refused_by_name(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Client("sqlite://:memory:", **{"workers": workers(), **options})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, RESCUE_AFTER),
        ({"job_timeout": "2h"}, 7200 + RESCUE_AFTER),
        ({"job_timeout": 5}, 5 + RESCUE_AFTER),
        ({"job_timeout": -1}, RESCUE_AFTER),
        ({"job_timeout": "2h", "rescue_stuck_jobs_after": "3h"}, 3 * 3600),
    ],
)
def test_jobs_are_rescued_an_hour_after_their_timeout(
    options: dict[str, Any], expected: float
) -> None:
    assert Config(**options).rescue_after == expected


def test_minus_one_switches_limits_and_retention_off() -> None:
    names = [f"{state}_job_retention_period" for state in ("cancelled", "completed", "discarded")]
    options: dict[str, Any] = dict.fromkeys([*names, "reindexer_timeout", "job_timeout"], -1)
    assert Config(**options).job_timeout_seconds is None


@pytest.mark.parametrize("nothing", [0, None, timedelta(0), "0s"])
def test_a_job_timeout_of_zero_says_nothing_as_in_river(nothing: Any) -> None:
    assert Config(job_timeout=nothing).job_timeout_seconds == DEFAULT_JOB_TIMEOUT


def test_two_clients_made_in_the_same_second_have_different_ids() -> None:
    assert Config().id != Config().id


async def test_a_worker_of_an_odd_kind_that_is_added_late_is_found_at_the_start() -> None:
    late = workers()
    client = Client("sqlite://:memory:", workers=late, queues={"default": 1})

    @late.job(kind="a b")
    async def odd(job: Job[Any]) -> None: ...

    with pytest.raises(ConfigurationError, match="job kind is invalid: 'a b'"):
        await client.start()
    await client.close()
