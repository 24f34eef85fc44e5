"""What the supervisor does about processes that end; real ones, of a line or two, on a clock we move."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from riverrun.cli.supervisor import Supervisor
from riverrun.cli.worker_process import WorkerProcess
from riverrun.runtime.clock import ManualClock

READY = """
import os, signal, sys
from pathlib import Path
from riverrun.cli.supervised import SupervisorLink
link = SupervisorLink.inherited()
number = os.environ["RIVERRUN_PROCESS"]
"""
WAIT_FOR_THE_END = "link.wait_until_lost()\n"


def program(text: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", f"{READY}{text}", *map(str, arguments)]


async def moved(clock: ManualClock, run: asyncio.Task[int]) -> list[float]:
    """Move from pause to pause until the run has ended; the pauses."""
    pauses: list[float] = []
    while await pausing(clock, run):
        pauses.append(clock.until_next() or 0)
        clock.advance(pauses[-1])
    return pauses


async def pausing(clock: ManualClock, run: asyncio.Task[int]) -> bool:
    """Whether there was another pause before the end."""
    pause = asyncio.create_task(clock.sleeping())
    await asyncio.wait({pause, run}, return_when=asyncio.FIRST_COMPLETED)
    return not pause.cancel()


async def sent(number: signal.Signals) -> None:
    """The supervisor is in this process; let its loop take the signal, and do what was due before."""
    for _ in range(10):
        await asyncio.to_thread(int)
    os.kill(os.getpid(), number)
    for _ in range(10):
        await asyncio.to_thread(int)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_it_gives_up_where_none_was_ever_ready(
    clock: ManualClock, capfd: pytest.CaptureFixture[str]
) -> None:
    run = asyncio.create_task(Supervisor(program("sys.exit(3)"), 2, clock).run())
    assert await moved(clock, run) == [1, 2]
    assert await run == 3
    assert capfd.readouterr().err.count("ended with exit code 3") == 3


async def test_a_program_that_cannot_be_started_is_given_up_too(clock: ManualClock) -> None:
    run = asyncio.create_task(Supervisor(["/no/such/program"], 1, clock).run())
    assert await moved(clock, run) == [1, 2]
    assert await run == 1


async def test_one_that_was_ready_has_a_successor_again_and_again(clock: ManualClock) -> None:
    text = "link.say_ready('a'); os.kill(os.getpid(), signal.SIGKILL)"
    run = asyncio.create_task(Supervisor(program(text), 1, clock).run())
    for pause in (1, 2, 4, 8):
        await clock.sleeping()
        assert clock.until_next() == pause
        clock.advance(pause)
    await clock.sleeping()
    await sent(signal.SIGTERM)
    assert await run == 0


async def test_no_other_is_started_after_sigtstp(
    clock: ManualClock, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    can_run_once = tmp_path / "program"
    text = "link.say_ready('a'); Path(sys.argv[0]).unlink()"
    can_run_once.write_text(f"#!{sys.executable}\n{READY}{text}")
    can_run_once.chmod(0o755)
    run = asyncio.create_task(Supervisor([str(can_run_once)], 1, clock).run())
    await clock.sleeping()
    await sent(signal.SIGTSTP)
    clock.advance(1)
    await sent(signal.SIGTERM)
    assert await run == 0
    assert "cannot start a process" not in capfd.readouterr().err


async def test_two_with_the_same_id_are_refused_and_the_first_stops_with_the_whole(
    clock: ManualClock, capfd: pytest.CaptureFixture[str]
) -> None:
    text = f"link.say_ready('same')\n{WAIT_FOR_THE_END}"
    run = asyncio.create_task(Supervisor(program(text), 2, clock).run())
    assert await moved(clock, run) == [1, 2]
    assert await run == 1
    assert "two processes have a client with the id same" in capfd.readouterr().err


async def test_the_others_are_started_once_the_first_is_ready(tmp_path: Path) -> None:
    first_was_ready = tmp_path / "ready"
    text = f"""
if number == "1":
    Path(sys.argv[1]).touch()
    link.say_ready(number)
    {WAIT_FOR_THE_END}
sys.exit(2 if Path(sys.argv[1]).exists() else 3)
"""
    assert await Supervisor(program(text, first_was_ready), 3).run() == 2


async def test_a_process_that_blocks_ends_after_its_limit_without_a_supervisor() -> None:
    """Its loop neither takes signals nor hears of anything."""
    text = """
import asyncio, threading
async def main():
    link.watch(lambda: None, limit=0)
    link.say_ready("a")
    threading.Event().wait()
asyncio.run(main())
"""
    process_is_ready = asyncio.Event()
    process = await WorkerProcess.start(program(text), 1, lambda _: process_is_ready.set())
    await process_is_ready.wait()
    process.let_go()
    assert await process.ended() == 1
