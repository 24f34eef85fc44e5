"""The programs in `examples/`, started with the commands of their README, as a user would."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import apsw
import psycopg
import pytest

from tests.end_to_end.program import Program

EXAMPLES = Path(__file__).parents[2] / "examples"

Connection = psycopg.Connection[Any]
Rows = list[tuple[Any, ...]]

JOBS = "select kind, state from river_job order by id"
JOBS_AND_ORDERS = """
    select o.item, o.is_confirmed, j.kind, j.state::text
    from {orders} o full join river_job j on (j.args ->> 'order_id')::bigint = o.id order by o.id
"""
CONFIRMED = (True, "confirm_order", "completed")


class Example:
    """A copy of one folder of `examples/`, which a program may write to."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder / name
        shutil.copytree(EXAMPLES / name, self.folder)
        self._readme = (self.folder / "README.md").read_text(encoding="utf-8")
        self._environment = {"PYTHONUNBUFFERED": "1", **environment}
        self._programs: list[Program] = []

    async def start(self, command: str, *arguments: str) -> Program:
        """Start a command of the README, perhaps with more arguments."""
        assert re.search(rf"^    (.* && )?{re.escape(command)}( |$)", self._readme, re.MULTILINE)
        words = [*command.split(), *arguments]
        self._programs.append(await Program.start_in(self.folder, *words, **self._environment))
        return self._programs[-1]

    async def run(self, command: str) -> list[str]:
        """The lines that the command prints; it must end well, and say nothing on standard error."""
        program = await self.start(command)
        code, errors = await program.exit_code(), await program.errors()
        assert (code, errors) == (0, ""), program.output
        return program.output.splitlines()

    async def close(self) -> None:
        for program in self._programs:
            await program.kill()


Copy = Callable[..., Example]


@pytest.fixture
async def example(tmp_path: Path) -> AsyncIterator[Copy]:
    """Copies the example of a name; what was started there ends with the test."""
    examples: list[Example] = []

    def copy(name: str, **environment: str) -> Example:
        examples.append(Example(name, tmp_path, environment))
        return examples[-1]

    yield copy
    for copied in examples:
        await copied.close()


@pytest.fixture
def postgres(postgres_database_url: str) -> Iterator[Connection]:
    """Another connection to the database of the example."""
    with psycopg.connect(postgres_database_url, autocommit=True) as connection:
        yield connection


def in_postgres(connection: Connection, sql: str) -> Rows:
    return connection.execute(sql.encode()).fetchall()


def in_file(folder: Path, sql: str) -> Rows:
    """What is in the database that a program makes where it is started."""
    with closing(apsw.Connection(str(folder / "riverrun.db"))) as connection:
        return connection.execute(sql).fetchall()


async def test_the_async_service_has_a_job_for_each_order_and_for_no_other(
    example: Copy, postgres_database_url: str, postgres: Connection
) -> None:
    service = example("async_service", RIVERRUN_DATABASE_URL=postgres_database_url)
    lines = await service.run("python main.py")
    assert [line for line in lines if line.startswith("service")] == [
        "service: placed order 1, tea",
        "service: no order, no job: the card was declined for 5000.00",
        "service: placed order 3, cake",
    ]
    assert {line for line in lines if line.startswith("worker")} == {
        "worker: confirmed order 1, tea",
        "worker: confirmed order 3, cake",
    }
    rows = in_postgres(postgres, JOBS_AND_ORDERS.format(orders="orders"))
    assert rows == [("tea", *CONFIRMED), ("cake", *CONFIRMED)]


SALES = [
    "north: completed, 5 pieces",
    "south: completed, 10 pieces",
    "west: discarded, invalid literal for int() with base 10: 'many'",
]
SALES_ROWS = [("count_sales", state) for state in ("completed", "completed", "discarded")]


async def test_the_synchronous_script_makes_a_database_of_its_own(example: Copy) -> None:
    script = example("sync_script")
    assert await script.run("python main.py") == SALES
    assert in_file(script.folder, JOBS) == SALES_ROWS


async def test_the_synchronous_script_takes_the_database_of_the_environment(
    example: Copy, postgres_database_url: str, postgres: Connection
) -> None:
    script = example("sync_script", RIVERRUN_DATABASE_URL=postgres_database_url)
    assert await script.run("python main.py") == SALES
    assert in_postgres(postgres, JOBS) == SALES_ROWS
    assert not (script.folder / "riverrun.db").exists()


async def test_the_cpu_bound_worker_kills_what_would_never_end(example: Copy) -> None:
    worker = example("cpu_worker")
    began, *ended = await worker.run("python main.py")
    assert ended == [
        "match: discarded, job timed out after 3 s",
        "count_primes: completed, 78498",
        "count_primes: completed, 148933",
    ]
    states = [("match", "discarded"), *[("count_primes", "completed")] * 2]
    assert in_file(worker.folder, JOBS) == states
    process = re.fullmatch(r"process (\d+): matching .*", began)
    assert process is not None, began
    with pytest.raises(ProcessLookupError):
        os.kill(int(process[1]), 0)


async def test_the_django_view_inserts_a_job_if_and_only_if_its_order_is_committed(
    example: Copy, postgres_database_url: str, postgres: Connection
) -> None:
    variables = {
        "RIVERRUN_DATABASE_URL": postgres_database_url,
        "DJANGO_SETTINGS_MODULE": "settings",
    }
    project = example("django_app", **variables)
    await project.run("python -m django migrate --run-syncdb")
    worker = await project.start("riverrun work worker:client")
    await worker.says("started")
    port = await serve(project)

    assert await post(port, item="piano", cents="500000") == (
        402,
        '{"error": "the card was declined for 5000.00"}',
    )
    assert await post(port, item="tea", cents="450") == (201, '{"order": 2, "job": 2}')
    await worker.says("confirmed order 2, tea")
    worker.send(signal.SIGTERM)
    assert await worker.exit_code() == 0
    rows = in_postgres(postgres, JOBS_AND_ORDERS.format(orders="shop_order"))
    assert rows == [("tea", *CONFIRMED)]


async def serve(project: Example) -> int:
    """Start Django's own server, on any port that is free; which one that is."""
    server = await project.start("python -m django runserver", "--noreload", "127.0.0.1:0")
    await server.says("Starting development server at")
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", server.output)
    assert found is not None, server.output
    return int(found[1])


async def post(port: int, **form: str) -> tuple[int, str]:
    """The status and the text that the view answers."""

    def ask() -> tuple[int, str]:
        with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/orders", urlencode(form), headers)
            response = connection.getresponse()
            return response.status, response.read().decode()

    return await asyncio.to_thread(ask)
