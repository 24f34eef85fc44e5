"""`riverrun work --processes`: real processes that work, die, are replaced, and end together."""

import os
import signal

import pytest

from riverrun import Client, JobState
from tests.cli.conftest import Ask, AskAndIgnoreCancellation, BlockTheLoop, RunningJobs, Start

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_every_process_works_with_an_id_of_its_own(
    processes: Start, client: Client, running: RunningJobs
) -> None:
    program = await processes(3)
    inserted = [(await client.insert(Ask())).job.id for _ in range(3)]
    jobs = await running.next(3)
    assert len({job.pid for job in jobs}) == 3
    assert sorted(job.number for job in jobs) == ["1", "2", "3"]
    for job in jobs:
        job.go_on()
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 0
    rows = [await client.jobs.get(job_id) for job_id in inserted]
    assert {row.state for row in rows} == {JobState.COMPLETED}
    assert len({row.attempted_by[0] for row in rows}) == 3


@on_sqlite
async def test_another_process_takes_the_place_of_one_that_was_killed(
    processes: Start, client: Client, running: RunningJobs
) -> None:
    program = await processes(2)
    await client.insert_many([Ask(), Ask()])
    killed, other = await running.next(2)
    os.kill(killed.pid, signal.SIGKILL)
    await client.insert(Ask())
    (in_its_place,) = await running.next(1)
    assert (in_its_place.number, in_its_place.pid == killed.pid) == (killed.number, False)
    in_its_place.go_on()
    other.go_on()
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 0
    assert f"process {killed.pid} was ended by SIGKILL" in await program.errors()


@on_sqlite
async def test_a_first_signal_lets_the_running_jobs_of_all_end(
    processes: Start, client: Client, running: RunningJobs
) -> None:
    program = await processes(2)
    inserted = await client.insert_many([Ask(), Ask()])
    jobs = await running.next(2)
    program.send(signal.SIGTERM)
    for job in jobs:
        await program.says(f"[{job.pid}] riverrun work: stopping")
    late = (await client.insert(Ask())).job
    for job in jobs:
        job.go_on()
    assert await program.exit_code() == 0
    states = [(await client.jobs.get(result.job.id)).state for result in inserted]
    assert states == [JobState.COMPLETED] * 2
    assert (await client.jobs.get(late.id)).state is JobState.AVAILABLE


@on_sqlite
async def test_a_second_signal_gives_the_running_jobs_of_all_back(
    processes: Start, client: Client, running: RunningJobs
) -> None:
    program = await processes(2)
    inserted = await client.insert_many([Ask(), Ask()])
    jobs = await running.next(2)
    program.send(signal.SIGINT)
    for job in jobs:
        await program.says(f"[{job.pid}] riverrun work: stopping")
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 0
    rows = [await client.jobs.get(result.job.id) for result in inserted]
    assert [(row.state, row.attempt) for row in rows] == [(JobState.AVAILABLE, 0)] * 2


@on_sqlite
async def test_a_third_signal_ends_every_process_whatever_it_does(
    processes: Start, client: Client, running: RunningJobs
) -> None:
    program = await processes(2)
    await program.says("started")
    await program.says("started")
    await client.insert_many([BlockTheLoop(), BlockTheLoop()])
    await running.next(2)
    program.send(signal.SIGTERM)
    await program.says("riverrun work: stopping 2 processes")
    program.send(signal.SIGTERM)
    await program.says("riverrun work: the processes cancel their running jobs")
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 1  # standard output is closed when nobody holds it


@on_sqlite
async def test_the_highest_exit_code_is_that_of_all(
    processes: Start, client: Client, running: RunningJobs
) -> None:
    program = await processes(2, "--grace", "0")
    await client.insert(AskAndIgnoreCancellation())
    (job,) = await running.next(1)
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 1
    errors = await program.errors()
    assert f"[{job.pid}] riverrun work: 1 job left behind" in errors
    assert f"process {job.pid} ended with exit code 1" in errors


@on_sqlite
async def test_sigtstp_has_all_fetch_no_more_and_stay(
    processes: Start, client: Client, running: RunningJobs
) -> None:
    program = await processes(2)
    await client.insert_many([Ask(), Ask()])
    jobs = await running.next(2)
    program.send(signal.SIGTSTP)
    for job in jobs:
        await program.says(f"[{job.pid}] riverrun work: fetching no more jobs")
        job.go_on()
    late = (await client.insert(Ask())).job
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 0
    assert (await client.jobs.get(late.id)).state is JobState.AVAILABLE


@on_sqlite
async def test_a_process_is_in_a_group_of_its_own_so_that_ctrl_c_reaches_it_once(
    processes: Start, client: Client, running: RunningJobs
) -> None:
    await processes(2)
    await client.insert(Ask())
    (job,) = await running.next(1)
    assert os.getpgid(job.pid) == job.pid


@on_sqlite
async def test_wrong_usage_is_said_once_and_ends_the_whole(processes: Start) -> None:
    program = await processes(3, target="told:cliemt")
    assert await program.exit_code() == 2
    assert (await program.errors()).count("module 'told' has no 'cliemt'") == 1


@on_sqlite
@pytest.mark.parametrize("count", [0, -1])
async def test_there_is_at_least_one_process(processes: Start, count: int) -> None:
    program = await processes(count)
    assert await program.exit_code() == 2
    assert "--processes" in await program.errors()


@on_sqlite
async def test_one_process_has_no_supervisor(
    processes: Start, client: Client, running: RunningJobs
) -> None:
    program = await processes(1)
    await client.insert(Ask())
    (job,) = await running.next(1)
    assert (job.pid, job.number) == (program.pid, "None")


@on_sqlite
async def test_the_processes_stop_softly_when_their_supervisor_is_killed(
    processes: Start, client: Client, running: RunningJobs
) -> None:
    program = await processes(2)
    inserted = await client.insert_many([Ask(), Ask()])
    jobs = await running.next(2)
    program.send(signal.SIGKILL)
    for job in jobs:
        await program.says(f"[{job.pid}] riverrun work: stopping")
        job.go_on()
    await program.exit_code()  # standard output is closed when nobody holds it
    rows = [await client.jobs.get(result.job.id) for result in inserted]
    assert {row.state for row in rows} == {JobState.COMPLETED}
