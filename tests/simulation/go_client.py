"""An imitation of River's Go client as a neighbour: its elector and its maintenance, weaknesses included.

It does on the wire what River does: the same statements, times and messages. Of its weaknesses it has
those that reach others: it resigns before it tells its own maintenance (W-01), bids again at once after
it has given up (W-02), gives up by a broadcast to whoever leads (W-03), nothing of it is fenced (W-07), and
whatever wakes it puts its renewal off (W-08). test_go_client.py shows them.

    go = world.go_client("go")
    await go.start(); go.hook = "fail"; await go.stop()
"""

import asyncio
import contextlib
import contextvars
import json
import random
from collections.abc import Coroutine
from typing import Any

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.leader import LeaderRow
from riverrun.drivers.statement import Notification, Script, Statement
from riverrun.model.errors import DatabaseError
from riverrun.model.notification import LEADERSHIP
from riverrun.runtime.backoff import backoff
from tests.simulation.client import Surroundings
from tests.simulation.clocks import SimClock, sleep
from tests.simulation.database import DIALECT, SimDatabase
from tests.simulation.loop import OWNER

INTERVAL = 5.0
LEASE = 15.0
TRUST = 14.0


class GoClient:
    def __init__(self, world: Surroundings, name: str, *, notifier: bool = True) -> None:
        self.name = name
        self.hook = "fine"
        """`fail` keeps its maintenance from starting."""
        self.leads = False
        """What its elector believes."""
        self.maintains = False
        self.hook_calls = 0
        self.running = False
        self.clock = SimClock(world.loop)
        self._starts = 0
        self._world = world
        self._database = SimDatabase(world.network, name)
        self._leader = Operations(DIALECT).leader
        self._notifications = Operations(DIALECT).notifications
        self._has_notifier = notifier
        self._woken = asyncio.Event()
        self._asked = False
        self._tasks: list[asyncio.Task[Any]] = []
        self._maintenance: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._starts += 1
        self.running = True
        self._tasks = [self._spawn(self._elect_for_ever())]
        if self._has_notifier:
            self._tasks.append(self._spawn(self._listen()))

    async def stop(self) -> None:
        """All at the same time, as River does (W-14)."""
        self.running = False
        left = set(self._tasks)
        while left:  # a driver may not hear it at first
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=10.0)
        self._end_maintenance()

    def kill(self) -> None:
        self.running = self.leads = False
        self._world.loop.freeze(self.owner)
        self._world.server.kill_all(self.name)

    def suspend(self, seconds: float) -> None:
        self._world.loop.freeze(self.owner, seconds, suspended=True)

    def stall(self, seconds: float) -> None:
        self._world.loop.freeze(self.owner, seconds)

    @property
    def owner(self) -> str:
        """In whose name its tasks run."""
        return f"{self.name}#{self._starts}"

    @property
    def frozen(self) -> bool:
        return self._world.loop.is_frozen(self.owner)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        context = contextvars.Context()
        context.run(OWNER.set, self.owner)
        return self._world.loop.create_task(coroutine, context=context)

    # The elector.

    async def _elect_for_ever(self) -> None:
        errors = 0
        while True:
            try:
                started = self.clock.monotonic()
                async with asyncio.timeout(5.0):
                    row = await self._database.transact(self._leader.elect(self.name, ttl=LEASE))
            except (DatabaseError, TimeoutError):
                errors += 1
                await sleep(backoff(errors))
                continue
            errors = 0
            if row is not None:
                await self._lead(row, started)
            elif await self._rest(INTERVAL + random.random()):  # noqa: S311
                await sleep(0.05 * random.random())  # noqa: S311

    async def _lead(self, row: LeaderRow, started: float) -> None:
        self._asked = False
        self.leads = True
        self._maintenance = self._spawn(self._maintain())
        resigns = True
        try:
            resigns = await self._keep(row, started)
        finally:
            if not self._world.loop.is_closed():
                await self._end_term(row, resigns=resigns)

    async def _end_term(self, row: LeaderRow, *, resigns: bool) -> None:
        """Only when the row is given up is the maintenance told (W-01)."""
        if resigns:
            await asyncio.shield(self._spawn(self._resign(row)))
        self.leads = False
        self._end_maintenance()

    async def _keep(self, row: LeaderRow, trusted_from: float) -> bool:
        """Renew until it ends; whether to resign then."""
        errors = 0
        while True:
            left = trusted_from + TRUST - self.clock.monotonic()
            pause = INTERVAL if errors == 0 else min(backoff(errors, reset=3), left)
            while await self._rest(pause) and not self._asked:
                continue  # each wake-up begins the pause anew, and nobody looks at the trust (W-08)
            if self._asked:
                return True
            started = self.clock.monotonic()
            left = trusted_from + TRUST - started
            if left <= 0:
                return True
            try:
                async with asyncio.timeout(min(5.0, left)):
                    renew = self._leader.reelect(self.name, row.elected_at, ttl=LEASE)
                    renewed = await self._database.run(renew)
            except (DatabaseError, TimeoutError):
                errors += 1
                continue
            errors = 0
            if renewed is None:
                return False
            trusted_from = started

    async def _resign(self, row: LeaderRow) -> None:
        for attempt in (1, 2, 3):
            try:
                async with asyncio.timeout(float(attempt)):
                    await self._database.transact(self._resignation(row))
            except (DatabaseError, TimeoutError):
                await sleep(backoff(attempt, reset=3))
            else:
                return

    def _resignation(self, row: LeaderRow) -> Script[None]:
        resigned = yield Statement(
            "resign_leader",
            "",
            {"leader_id": self.name, "elected_at": row.elected_at},  # type: ignore[arg-type]
            bool,
        )
        if resigned:
            payload = json.dumps({"leader_id": self.name, "action": "resigned"})
            yield self._notifications.notify(LEADERSHIP, [payload])

    async def _rest(self, seconds: float) -> bool:
        """Whether it was woken."""
        woken = await self.clock.wait_for_event(self._woken, max(seconds, 0.0))
        self._woken.clear()
        return woken

    async def _listen(self) -> None:
        while self.running:
            listener = self._database.listener()
            try:
                await listener.listen([LEADERSHIP], self._hear)  # type: ignore[union-attr]
                if self.running:  # a driver may have swallowed that it was to end
                    await listener.wait_lost()  # type: ignore[union-attr]
            except DatabaseError:
                await sleep(1.0)
            finally:
                await listener.close()  # type: ignore[union-attr]

    def _hear(self, notification: Notification) -> None:
        with contextlib.suppress(ValueError):
            message = json.loads(notification.payload)
            if isinstance(message, dict):
                self._act_on(message)

    def _act_on(self, message: dict[str, Any]) -> None:
        if message.get("action") == "request_resign" and self.leads:
            self._asked = True
            self._woken.set()
        elif message.get("action") == "resigned" and message.get("leader_id", "") != self.name:
            self._woken.set()

    # Its maintenance.

    async def _maintain(self) -> None:
        for attempt in (1, 2, 3):
            self.hook_calls += 1
            if self.hook != "fail":
                await self._work()
            if attempt < 3:
                await sleep(backoff(attempt))
        payload = json.dumps({"leader_id": "", "action": "request_resign"})
        try:
            await self._database.run(self._notifications.notify(LEADERSHIP, [payload]))
        except DatabaseError:
            return  # and goes on leading, without maintenance

    async def _work(self) -> None:
        self.maintains = True
        jobs = Operations(DIALECT).jobs
        while True:
            with contextlib.suppress(DatabaseError):
                await self._database.transact(jobs.schedule(1000))
            await sleep(5.0)

    def _end_maintenance(self) -> None:
        self.maintains = False
        if self._maintenance is not None:
            self._maintenance.cancel()
