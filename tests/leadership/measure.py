"""How long maintenance is away when something happens to the leader: real processes, the default times.

    python -m tests.leadership.measure --times 3

For each case two clients run, and what befalls the one that leads is measured until the other leads, and
until all of the other's maintenance runs. Prints the medians of so many runs, and the longest of the last,
beside the bound that the documentation promises. Three runs take about ten minutes.
"""

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riverrun.runtime.clock import SystemClock
from riverrun.testing.postgres import postgres_server
from tests.support.databases import PostgresDatabases, SQLiteDatabases, migrate
from tests.support.processes import Member, leader_and_other
from tests.support.servers import OwnServer, own_server


@dataclass(frozen=True)
class Taken:
    """Seconds from what happened until the other led, and until all of its maintenance ran."""

    leads: float
    maintains: float


Scenario = Callable[["Place"], Coroutine[Any, Any, Taken]]


@dataclass(frozen=True)
class Case:
    name: str
    bound: str
    """What the documentation promises; an op is one question to the database."""
    scenario: Scenario


class Place:
    """The database of one run, and the server if it is our own."""

    def __init__(self, url: str, server: OwnServer | None = None) -> None:
        self.url = url
        self.server = server


async def killed(place: Place) -> Taken:
    async with pair(place) as (first, second):
        return await after(lambda: first.send(signal.SIGKILL), second)


async def stopped_by_the_system(place: Place) -> Taken:
    async with pair(place) as (first, second):
        return await after(lambda: first.send(signal.SIGSTOP), second)


async def ended(place: Place) -> Taken:
    async with pair(place) as (first, second):
        return await after(lambda: first.send(signal.SIGTERM), second)


async def ended_where_others_poll(place: Place) -> Taken:
    async with pair(place, "poll") as (first, second):
        return await after(lambda: first.send(signal.SIGTERM), second)


async def server_crashed(place: Place) -> Taken:
    """From the moment that it can be reached again; either may lead then."""
    assert place.server is not None
    async with pair(place) as (first, second):
        await asyncio.to_thread(place.server.crash)
        await asyncio.to_thread(place.server.start)
        began = SystemClock().monotonic()
        waits = [asyncio.ensure_future(taken(began, each)) for each in (first, second)]
        done, late = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in late:
            wait.cancel()
        return done.pop().result()


async def hook_fails(place: Place) -> Taken:
    return await beside_healthy(place, "fail")


async def hook_never_returns(place: Place) -> Taken:
    return await beside_healthy(place, "hang")


async def beside_healthy(place: Place, hook: str) -> Taken:
    """From the moment that the client with the broken hook leads."""
    async with leader_and_other(place.url, hook) as (first, second):
        gained = next(said for said in first.heard if said["name"] == "leadership.gained")
        return await taken(gained["at"], second)


@asynccontextmanager
async def pair(place: Place, words: str = "") -> AsyncIterator[tuple[Member, Member]]:
    """Two clients, the first of which maintains while the other has looked."""
    async with leader_and_other(place.url, words, words) as (first, second):
        await first.maintains()
        await second.says("election.denied")
        yield first, second


async def after(happens: Callable[[], None], successor: Member) -> Taken:
    began = SystemClock().monotonic()
    happens()
    return await taken(began, successor)


async def taken(began: float, successor: Member) -> Taken:
    gained = await successor.says("leadership.gained")
    maintains = await successor.maintains()
    return Taken(gained["at"] - began, maintains["at"] - began)


CASES = (
    Case("killed with SIGKILL", "L-1: 15 s + 6 s + op", killed),
    Case("stopped with SIGSTOP", "L-1: 15 s + 6 s + op", stopped_by_the_system),
    Case("ended with SIGTERM", "L-2: its drain + 50 ms + op", ended),
    Case("ended, others only poll", "L-2: its drain + 6 s + op", ended_where_others_poll),
    Case("server crashed, is back", "L-3: 8.8 s + op", server_crashed),
    Case("start hook fails always", "L-5: 3.3 s + L-2", hook_fails),
    Case("start hook never returns", "L-5: 3 x 10 s + 3.3 s + L-2", hook_never_returns),
)


@dataclass
class Row:
    leads: list[float] = field(default_factory=list[float])
    maintains: list[float] = field(default_factory=list[float])

    def add(self, taken: Taken) -> None:
        self.leads.append(taken.leads)
        self.maintains.append(taken.maintains)


@contextmanager
def place_on_postgres(case: Case) -> Iterator[Place]:
    with ExitStack() as stack:
        if case.scenario is server_crashed:
            server = stack.enter_context(own_server())
            asyncio.run(migrate(server.url))
            yield Place(server.url, server)
            return
        databases = PostgresDatabases(stack.enter_context(postgres_server(durable=False)))
        yield Place(stack.enter_context(databases.migrated()))


@contextmanager
def place_on_sqlite(_case: Case) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as template:
        yield Place(SQLiteDatabases(Path(template)).migrated(Path(folder)))


def measure(case: Case, place: Callable[[Case], AbstractContextManager[Place]], times: int) -> Row:
    row = Row()
    for _ in range(times):
        with place(case) as here:
            row.add(asyncio.run(case.scenario(here)))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    times = parser.parse_args().times
    say("| what happens to the leader | on | bound | the next leads | and maintains | at most |")
    say("|---|---|---|---|---|---|")
    for case in CASES:
        for name, place in (("PostgreSQL", place_on_postgres), ("SQLite", place_on_sqlite)):
            if name == "SQLite" and case.scenario is server_crashed:
                continue
            row = measure(case, place, times)
            leads, maintains = statistics.median(row.leads), statistics.median(row.maintains)
            say(
                f"| {case.name} | {name} | {case.bound} | {leads:.2f} s | {maintains:.2f} s "
                f"| {max(row.maintains):.2f} s |"
            )


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
