"""The fourteen methods."""

from collections.abc import Mapping
from typing import Any

from conformance import params
from conformance.barriers import Barriers
from conformance.databases import Databases
from conformance.jobs import job_object, to_insert
from conformance.rpc import Method, Refused, WrongParams
from conformance.running import Running
from conformance.transactions import Transactions
from riverrun import JobCursor, Migrator, ValidationError, __version__

Answer = dict[str, Any]

DEFAULT_LIMIT = 100


class Methods:
    """What a process has open, and what can be done with it."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._transactions = Transactions(databases)
        self._barriers = Barriers()
        self._running: Running | None = None
        self.methods: Mapping[str, Method] = {
            "handshake": Method(params.Nothing, self._handshake),
            "migrate": Method(params.Migrate, self._migrate),
            "insert": Method(params.Insert, self._insert),
            "list": Method(params.ListJobs, self._list),
            "cancel": Method(params.JobControl, self._cancel),
            "retry": Method(params.JobControl, self._retry),
            "queue": Method(params.QueueControl, self._queue),
            "request_resign": Method(params.InSchema, self._request_resign),
            "start": Method(params.Start, self._start),
            "stop": Method(params.Stop, self._stop),
            "stats": Method(params.Nothing, self._stats),
            "release": Method(params.Release, self._release),
            "tx_begin": Method(params.TxBegin, self._tx_begin),
            "tx_end": Method(params.TxEnd, self._tx_end),
        }

    async def close(self) -> None:
        """Let go of everything; a transaction first, for on SQLite it keeps jobs from being written."""
        try:
            await self._transactions.rollback_all()
            if self._running is not None:
                await self._running.stop(cancel=True)
        finally:
            await self._databases.close()

    async def _handshake(self, _given: params.Nothing) -> Answer:
        return {
            "driver": self._databases.driver,
            "implementation": "python",
            "version": __version__,
        }

    async def _migrate(self, given: params.Migrate) -> Answer:
        database = self._databases.get(given.schema)
        await database.open()
        migrator = Migrator(database)
        migrate = migrator.up if given.direction == "up" else migrator.down
        return {"versions": [step.version for step in await migrate(given.target_version or None)]}

    async def _insert(self, given: params.Insert) -> Answer:
        tx = await self._transactions.get(given.tx)
        jobs = [to_insert(job) for job in given.jobs or []]
        results = await self._databases.client(given.schema).insert_many(jobs, tx=tx)
        return {
            "results": [
                {
                    "job": job_object(result.job),
                    "unique_skipped_as_duplicate": result.unique_skipped_as_duplicate,
                }
                for result in results
            ]
        }

    async def _list(self, given: params.ListJobs) -> Answer:
        metadata = params.object_text("metadata", given.metadata)
        after = _cursor(given.after)
        page = await self._databases.client(given.schema).jobs.page(
            after=after,
            descending=given.direction == "desc",
            ids=given.ids or None,
            kinds=given.kinds or None,
            limit=given.limit or DEFAULT_LIMIT,
            metadata=metadata,
            order_by=given.order_by or "id",
            priorities=given.priorities or None,
            queues=given.queues or None,
            states=given.states or None,
            tags_all=given.tags_all or None,
            tx=await self._transactions.get(given.tx),
        )
        cursor = None if page.cursor is None else str(page.cursor)
        return {"cursor": cursor, "jobs": [job_object(job) for job in page.jobs]}

    async def _cancel(self, given: params.JobControl) -> Answer:
        jobs = self._databases.client(given.schema).jobs
        return job_object(await jobs.cancel(given.id or 0, tx=await self._tx(given)))

    async def _retry(self, given: params.JobControl) -> Answer:
        jobs = self._databases.client(given.schema).jobs
        return job_object(await jobs.retry(given.id or 0, tx=await self._tx(given)))

    async def _queue(self, given: params.QueueControl) -> Answer:
        queues, name = self._databases.client(given.schema).queues, given.name or ""
        metadata = params.object_text("metadata", given.metadata)
        match given.action:
            case "pause":
                await queues.pause(name, tx=await self._tx(given))
            case "resume":
                await queues.resume(name, tx=await self._tx(given))
            case "update":
                await queues.update(name, metadata=metadata, tx=await self._tx(given))
            case None:
                raise WrongParams("action is missing")
        return {}

    async def _request_resign(self, given: params.InSchema) -> Answer:
        client = self._databases.client(given.schema)
        await client.request_resign(tx=await self._tx(given))
        return {}

    async def _start(self, given: params.Start) -> Answer:
        running = Running(given, self._databases, self._barriers)
        if self._running is not None:
            raise Refused("a client is running")
        await running.start()
        self._running = running
        return {}

    async def _stop(self, given: params.Stop) -> Answer:
        await self._started().stop(cancel=bool(given.cancel))
        self._running = None
        return {}

    async def _stats(self, _given: params.Nothing) -> Answer:
        stats = self._started().stats
        return {
            "cancelled_at_start": stats.cancelled_at_start,
            "error_handler_calls": stats.error_handler_calls,
            "events": stats.events,
            "periodic_starts": stats.periodic_starts,
        }

    async def _release(self, given: params.Release) -> Answer:
        self._barriers.release(given.name or "")
        return {}

    async def _tx_begin(self, given: params.TxBegin) -> Answer:
        await self._transactions.begin(given.tx or "")
        return {}

    async def _tx_end(self, given: params.TxEnd) -> Answer:
        await self._transactions.end(given.tx or "", commit=bool(given.commit))
        return {}

    async def _tx(self, given: params.InSchema) -> Any:
        return await self._transactions.get(given.tx)

    def _started(self) -> Running:
        if self._running is None:
            raise Refused("no client is running")
        return self._running


def _cursor(text: str | None) -> JobCursor | None:
    try:
        return JobCursor.parse(text) if text else None
    except ValidationError as error:
        raise WrongParams(str(error)) from error
