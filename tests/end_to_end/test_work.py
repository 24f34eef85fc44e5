"""`riverrun work` as an operator meets it: it works, takes signals, and says how it ended."""

import signal

from riverrun import Client, JobState
from tests.end_to_end.conftest import Start
from tests.end_to_end.jobs import IgnoreCancellation, Say, WaitForInput


async def test_it_works_jobs_that_another_process_inserts(work: Start, client: Client) -> None:
    before = (await client.insert(Say("hello"))).job
    program = await work()
    await program.says("hello")
    after = (await client.insert(Say("hello again"))).job
    await program.says("hello again")
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 0
    for job in (before, after):
        assert (await client.jobs.get(job.id)).state is JobState.COMPLETED


async def test_a_stop_lets_running_jobs_end_and_begins_no_others(
    work: Start, client: Client
) -> None:
    running = (await client.insert(WaitForInput())).job
    program = await work()
    await program.says("waiting")
    program.send(signal.SIGTERM)
    await program.says("stopping")
    waiting = (await client.insert(Say("too late"))).job
    program.write("go on")
    assert await program.exit_code() == 0
    assert "done\nriverrun work: stopped\n" in program.output
    assert (await client.jobs.get(running.id)).state is JobState.COMPLETED
    assert (await client.jobs.get(waiting.id)).state is JobState.AVAILABLE


async def test_a_second_signal_gives_running_jobs_back_uncounted(
    work: Start, client: Client
) -> None:
    job = (await client.insert(WaitForInput())).job
    program = await work()
    await program.says("waiting")
    program.send(signal.SIGINT)
    await program.says("stopping")
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 0
    row = await client.jobs.get(job.id)
    assert (row.state, row.attempt, row.errors) == (JobState.AVAILABLE, 0, [])


async def test_jobs_are_given_back_when_the_grace_is_over(work: Start, client: Client) -> None:
    job = (await client.insert(WaitForInput())).job
    program = await work("--grace", "50ms")
    await program.says("waiting")
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 0
    row = await client.jobs.get(job.id)
    assert (row.state, row.attempt, row.errors) == (JobState.AVAILABLE, 0, [])


async def test_a_job_that_ignores_its_cancellation_is_left_behind(
    work: Start, client: Client
) -> None:
    job = (await client.insert(IgnoreCancellation())).job
    program = await work("--grace", "0")
    await program.says("waiting")
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 1
    assert "1 job left behind" in await program.errors()
    assert (await client.jobs.get(job.id)).state is JobState.RUNNING


async def test_a_third_signal_ends_the_process_at_once(work: Start, client: Client) -> None:
    await client.insert(IgnoreCancellation())
    program = await work()
    await program.says("waiting")
    program.send(signal.SIGTERM)
    await program.says("stopping")
    program.send(signal.SIGTERM)
    await program.says("ignoring")
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 1
    assert "Traceback" not in await program.errors()


async def test_sigtstp_stops_fetching_and_nothing_else(work: Start, client: Client) -> None:
    running = (await client.insert(WaitForInput())).job
    program = await work()
    await program.says("waiting")
    program.send(signal.SIGTSTP)
    await program.says("fetching no more jobs")
    waiting = (await client.insert(Say("too late"))).job
    program.write("go on")
    await program.says("done")
    program.send(signal.SIGTERM)
    assert await program.exit_code() == 0
    assert (await client.jobs.get(running.id)).state is JobState.COMPLETED
    assert (await client.jobs.get(waiting.id)).state is JobState.AVAILABLE


async def test_kill_9_loses_nothing(work: Start, client: Client) -> None:
    running = (await client.insert(WaitForInput())).job
    program = await work()
    await program.says("waiting")
    program.send(signal.SIGKILL)
    assert await program.exit_code() == -signal.SIGKILL
    await client.insert(Say("still here"))
    await (await work()).says("still here")
    row = await client.jobs.get(running.id)
    assert (row.state, row.attempt) == (JobState.RUNNING, 1)


async def test_a_function_that_returns_a_client_will_do(work: Start, client: Client) -> None:
    await client.insert(Say("hello"))
    await (await work(target="app:make_client")).says("hello")


async def test_it_ends_with_1_when_a_part_of_the_client_dies(
    riverrun: Start, database_url: str
) -> None:
    target = "app:make_broken_client"
    program = await riverrun("work", target, APP_DATABASE_URL=database_url)
    assert await program.exit_code() == 1
    assert "the clock has stopped" in await program.errors()


async def test_missing_tables_are_reported_with_the_command_to_run(
    riverrun: Start, empty_database_url: str
) -> None:
    program = await riverrun("work", "app:client", APP_DATABASE_URL=empty_database_url)
    assert await program.exit_code() == 1
    errors = await program.errors()
    assert "run `riverrun migrate-up --database-url" in errors
    assert "Traceback" not in errors
