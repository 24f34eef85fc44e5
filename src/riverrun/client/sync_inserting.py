"""Inserts without an event loop: `Inserting` for the synchronous client."""

from collections.abc import Callable

from riverrun.client.config import Config, seconds
from riverrun.client.inserting import InsertPlan, InsertPlans, Jobs, Results, notify_of_insert
from riverrun.client.notification_limiter import SyncNotificationLimiter
from riverrun.client.sync_asking import SyncAsking
from riverrun.model.extension import Extensions


class SyncInserting:
    """For any number of threads; `wake` tells the producers of this process, if there are any."""

    def __init__(
        self,
        config: Config,
        asking: SyncAsking,
        extensions: Extensions,
        wake: Callable[[set[str]], None],
    ) -> None:
        self._asking = asking
        self._wake = wake
        self._limiter = SyncNotificationLimiter(seconds(config.fetch_cooldown), self._notify)
        self._plans = InsertPlans(config, extensions, self._limiter.allows_or_owes)

    def insert(
        self, jobs: Jobs, tx: object | None, *, deduplicate: bool = False, one: bool = False
    ) -> Results:
        """Insert and read back."""
        plan = self._plans.plan(jobs, tx, deduplicate=deduplicate, one=one)
        results = self._asking.ask_all(plan.insert, tx)
        self._inserted(plan, tx)
        return results

    def insert_fast(self, jobs: Jobs, tx: object | None) -> int:
        """Insert and read nothing back; the number inserted."""
        plan = self._plans.plan(jobs, tx)
        count = self._asking.ask_all(plan.insert_fast, tx)
        self._inserted(plan, tx)
        return count

    def close(self) -> None:
        """Send the notifications that were held back."""
        self._limiter.close()

    def _inserted(self, plan: InsertPlan, tx: object | None) -> None:
        if tx is None:
            self._wake(plan.queues)

    def _notify(self, queue: str) -> None:
        self._asking.ask(notify_of_insert(queue))
