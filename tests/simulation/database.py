"""The model's driver: `riverrun.drivers.statement.Database` over a `Server` and a network with faults.

    network = Network(loop, server, faults, seed=7)
    database = SimDatabase(network, "a")            # what client "a" is given

A request and its answer each take a few milliseconds. The server works while the client is frozen or has
given up. A statement has its deadline, a session that was given up is of no more use, and what was open
on it is rolled back when the server hears of that, or by the transaction's own limit.
"""

import asyncio
import contextvars
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.statement import Connection, Listener, Notification, Script, Statement
from riverrun.model.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    OutcomeUnknownError,
    StatementTimeoutError,
    UnsupportedError,
)
from tests.simulation.clocks import ignore_cancellation, sleep
from tests.simulation.faults import Do, Fault, Faults
from tests.simulation.loop import OWNER
from tests.simulation.rows import Session
from tests.simulation.server import Rows, Server

T = TypeVar("T")

DIALECT = Dialect("postgres", "$")
CONNECT_TIMEOUT = 10.0
PROBE_EVERY = 10.0
SETTLE = 1.0
AGAIN = 1.0
"""Seconds after which a machine tries again to say that a connection is closed."""


class Network:
    """Between all clients and the server."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, server: Server, faults: Faults, *, seed: int | None
    ) -> None:
        self.loop = loop
        self.server = server
        self.faults = faults
        self.random = random.Random(f"network {seed}")  # noqa: S311
        self.listeners: list[SimListener] = []
        self.on_statement: Callable[[Session, str], None] = lambda *_: None
        """Called with the session and the name before each statement is sent."""
        server.deliver = self._notify

    def latency(self) -> float:
        """Of one way: now and then it is long."""
        draw = self.random.random()
        return 0.0002 + 0.003 * draw if draw < 0.97 else 0.08 * self.random.random()

    def later(self, seconds: float, call: Callable[..., object], *args: Any) -> None:
        """On no client's behalf; without effect when all is over."""
        if not self.loop.is_closed():
            self.loop.call_later(seconds, call, *args, context=self.server.context.copy())

    def is_cut(self, client: str) -> bool:
        return client in self.faults.cut

    def _notify(self, topic: str, payload: str) -> None:
        for listener in self.listeners:
            if self.random.random() < self.faults.lose:
                continue
            copies = 2 if self.random.random() < self.faults.repeat else 1
            for _ in range(copies):
                late = 5 * self.random.random() if self.random.random() < self.faults.hold_up else 0
                self.loop.call_later(
                    self.latency() + late,
                    listener.hear,
                    Notification(topic, payload),
                    context=listener.context,
                )


class SimDatabase:
    """One client's way to the server."""

    def __init__(self, network: Network, client: str, *, is_reserved: bool = False) -> None:
        self._network = network
        self._client = client
        self._is_reserved = is_reserved
        self._is_open = False
        self.connections = 0
        """How many are in use at this moment."""

    @property
    def dialect(self) -> Dialect:
        return DIALECT

    async def open(self) -> None:
        if not self._is_open:
            await self._fail_to_connect(self._network.faults.take(self._client, "connect"))
            await self._ask(self._connect(), "select", {}, CONNECT_TIMEOUT)
            self._is_open = True

    async def close(self) -> None:
        self._is_open = False

    async def run(self, statement: Statement[T], /) -> T:
        await self._wait_for_connection(statement.timeout)
        session = self._connect()
        self.connections += 1
        try:
            params = _named(statement)
            statement.check()
            rows = await self._ask(session, statement.name, params, statement.timeout, alone=True)
        finally:
            self.connections -= 1
            self._let_go(session)
        return statement.read(rows)

    async def transact(self, script: Script[T], /) -> T:
        await self._wait_for_connection(30.0)
        session = self._connect()
        self.connections += 1
        try:
            await self._ask(session, "begin", {}, 30.0)
            result = await self._drive(session, script)
            await self._ask(session, "commit", {}, 30.0, alone=True)
        finally:
            script.close()
            self.connections -= 1
            self._let_go(session)
        return result

    def listener(self) -> Listener | None:
        return SimListener(self._network, self._client)

    def reserved(self) -> "SimDatabase":
        return SimDatabase(self._network, self._client, is_reserved=True)

    def adopt(self, tx: object, /) -> Connection:
        raise UnsupportedError("the model adopts nothing")

    async def _drive(self, session: Session, script: Script[T]) -> T:
        answer: Any = None
        while True:
            try:
                statement = script.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            statement.check()
            rows = await self._ask(session, statement.name, _named(statement), statement.timeout)
            answer = statement.read(rows)

    def _connect(self) -> Session:
        return self._network.server.connect(self._client, OWNER.get())

    def _let_go(self, session: Session) -> None:
        """The server hears of it, after what is on its way; while the network is cut, it does not."""
        on_its_way = max(session.arrives - self._network.loop.time(), 0.0)
        if session.answered and not session.in_transaction:
            self._network.server.kill(session)
        elif session.alive and self._network.is_cut(self._client):
            self._network.later(AGAIN, self._let_go, session)
        elif session.alive:
            self._network.later(on_its_way + 0.05, self._network.server.kill, session)

    async def _wait_for_connection(self, seconds: float) -> None:
        waited = 0.0
        while not self._is_reserved and self._client in self._network.faults.starved:
            if waited >= seconds:
                raise StatementTimeoutError(f"no connection free within {seconds:g} s")
            await sleep(0.5)
            waited += 0.5

    async def _fail_to_connect(self, fault: Fault | None) -> None:
        if fault is not None:
            await _suffer(fault, "connect", self._network)

    async def _ask(
        self,
        session: Session,
        name: str,
        params: Mapping[str, Any],
        timeout: float,  # noqa: ASYNC109
        *,
        alone: bool = False,
    ) -> Rows:
        network = self._network
        network.on_statement(session, name)
        fault = network.faults.take(self._client, name)
        late = 0.0
        if fault is not None and fault.do is Do.LATE:
            late, session.is_late = fault.seconds, True
        elif fault is not None and fault.do is not Do.LOSE_REPLY:
            await _suffer(fault, name, network, session)
        answer = await self._exchange(session, name, params, timeout, late)
        if fault is not None and fault.do is Do.LOSE_REPLY:
            network.server.kill(session)
            error = OutcomeUnknownError if alone else DatabaseUnavailableError
            raise error(f"the connection broke during {name}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _exchange(
        self,
        session: Session,
        name: str,
        params: Mapping[str, Any],
        timeout: float,  # noqa: ASYNC109
        late: float,
    ) -> Rows | Exception:
        """Send it, and wait for the answer."""
        network = self._network
        reply: asyncio.Future[Rows | Exception] = network.loop.create_future()
        delay = network.latency() + late
        session.arrives, session.answered = network.loop.time() + delay, False
        network.later(delay, self._arrive, session, name, params, reply)
        try:
            await asyncio.wait({reply}, timeout=timeout)
        except asyncio.CancelledError:
            await self._settle(session, reply)
            raise
        finally:
            session.answered = reply.done()
        if not reply.done():
            await self._settle(session, reply)
            error = OutcomeUnknownError if name == "commit" else StatementTimeoutError
            raise error(f"{name}: no answer within {timeout:g} s")
        return reply.result()

    async def _settle(self, session: Session, reply: "asyncio.Future[Rows | Exception]") -> None:
        """Ask the server to stop, and give it a second to say that it has."""
        if not self._network.is_cut(self._client):
            on_its_way = max(session.arrives - self._network.loop.time(), 0.0)
            self._network.later(on_its_way + 0.001, self._network.server.kill, session)
        await asyncio.wait({reply}, timeout=SETTLE)

    def _arrive(
        self,
        session: Session,
        name: str,
        params: Mapping[str, Any],
        reply: "asyncio.Future[Rows | Exception]",
    ) -> None:
        """At the server; what is cut off never arrives."""
        network = self._network

        def answer(rows: Rows | Exception) -> None:
            network.later(network.latency(), arrived, rows)

        def arrived(rows: Rows | Exception) -> None:
            if not reply.done() and not network.is_cut(self._client):
                reply.set_result(rows)

        if not network.is_cut(self._client):
            network.server.request(session, name, params, answer)


class SimListener:
    """Hears what is sent while it is connected."""

    def __init__(self, network: Network, client: str) -> None:
        self._network = network
        self._client = client
        self._topics: Sequence[str] = ()
        self._deliver: Callable[[Notification], None] | None = None
        self._generation = network.server.generation
        self._closed = asyncio.Event()
        self.context = contextvars.copy_context()

    async def listen(self, topics: Sequence[str], deliver: Callable[[Notification], None]) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._connect()
        except TimeoutError:
            raise DatabaseUnavailableError("no connection to listen on") from None
        if not self._network.server.up or self._client in self._network.faults.deaf:
            raise DatabaseUnavailableError("cannot listen")
        self._generation = self._network.server.generation
        self._topics, self._deliver = topics, deliver
        self._network.listeners.append(self)

    async def _connect(self) -> None:
        """Its deadline works as long as it is not deaf to its cancellation."""
        network = self._network
        await sleep(2 * network.latency())
        if (fault := network.faults.take(self._client, "listen")) is not None:
            await _suffer(fault, "listen", network)
        if network.is_cut(self._client):
            await sleep(CONNECT_TIMEOUT)

    def hear(self, notification: Notification) -> None:
        if self._deliver is not None and not self._is_lost and notification.topic in self._topics:
            self._deliver(notification)

    async def wait_lost(self) -> None:
        while not self._is_lost:
            try:
                async with asyncio.timeout(PROBE_EVERY):
                    await self._closed.wait()
            except TimeoutError:
                continue
            return

    async def close(self) -> None:
        self._closed.set()
        self._deliver = None
        if self in self._network.listeners:
            self._network.listeners.remove(self)

    @property
    def _is_lost(self) -> bool:
        network = self._network
        return (
            network.is_cut(self._client)
            or self._client in network.faults.deaf
            or self._generation != network.server.generation
        )


async def _suffer(
    fault: Fault, name: str, network: Network, session: Session | None = None
) -> None:
    """Raise, or return when the request may be sent all the same."""
    match fault.do:
        case Do.ERROR | Do.KILL:
            await sleep(network.latency())
            if session is not None:
                network.server.kill(session)
            raise DatabaseUnavailableError(f"the connection broke before {name}")
        case Do.REFUSE:
            raise DatabaseError(f"{name} was refused", sqlstate="XX000")
        case Do.CANCELLED:
            await sleep(network.latency())
            raise asyncio.CancelledError
        case Do.HANG:
            await asyncio.Event().wait()
        case Do.DEAF:
            await ignore_cancellation(fault.seconds or 1e9)
            raise DatabaseUnavailableError(f"{name} failed, much too late")
        case _:
            await sleep(fault.seconds)


def _named(statement: Statement[Any]) -> Mapping[str, Any]:
    """The parameters by name; a statement of the model's own brings them so."""
    if not statement.sql:
        return statement.params if isinstance(statement.params, Mapping) else {}
    return dict(zip(DIALECT.sql(statement.name).names, statement.params, strict=True))
