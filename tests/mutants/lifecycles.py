"""Weaknesses of starting and stopping: services, their runs, and what belongs to whom."""

from tests.mutants.mutant import Change, Mutant

SERVICE = "runtime/service.py"
RUN = "runtime/run.py"
MAINTAINER = "runtime/maintainer.py"
TENURE = "runtime/tenure.py"
CONTRACT = "tests/contract/test_service_scenarios.py::"
STALE = "tests/leadership/test_stale_terms.py::"

LIFECYCLES = (
    Mutant(
        name="a_second_start_reports_success_at_once",
        of="W-04",
        what="starting what somebody else is just starting returns at once, whatever comes of it",
        changes=(
            Change(
                SERVICE,
                "            await run.started.wait()\n        run.check_loop()",
                "            return run\n        run.check_loop()",
            ),
        ),
        killer=CONTRACT + "test_S_013_two_starters_get_the_same_error_of_one_body",
    ),
    Mutant(
        name="an_older_start_owns_what_the_newer_term_needs",
        of="W-04",
        what="all terms share their services, nobody waits for the end of the last term, and to start "
        "what is being started is a success",
        changes=(
            Change(
                SERVICE,
                "        _refuse_cancelled(scope, self.name)\n        while",
                "        _refuse_cancelled(scope, self.name)\n"
                "        if self.current_run is not None:\n"
                "            return self.current_run\n"
                "        while",
            ),
            Change(
                TENURE,
                "lambda service=service: service.new(term),",
                "lambda service=service: vars(clock).setdefault(service.name, service.new(term)),",
            ),
            Change(
                MAINTAINER,
                "            await tenure.stop(tenure.term.scope.cause or Cause.STOP)\n",
                "            self.spawn(tenure.stop(tenure.term.scope.cause or Cause.STOP))\n",
            ),
        ),
        killer="tests/simulation/test_kernels.py::"
        "test_S_089_the_next_term_maintains_whatever_became_of_the_start_before[late]",
    ),
    Mutant(
        name="a_stop_waits_for_ever_for_what_ignores_it",
        of="W-05",
        what="nothing is ever left behind, so that one deaf hook holds up the stop of the client",
        changes=(Change(RUN, "if times > RECANCELS:", "if times > 10**9:"),),
        killer="tests/leadership/test_degraded.py::"
        "test_S_090_a_client_stops_in_time_while_a_hook_hangs[deaf-8.2]",
    ),
    Mutant(
        name="the_lease_does_not_wait_for_the_work",
        of="W-14",
        what="the elector resigns at once, whatever the maintenance of its term still does",
        changes=(Change(TENURE, "self._let_go = term.hold(self)", "self._let_go = lambda: None"),),
        killer="tests/leadership/test_elector_virtual.py::"
        "test_S_040_the_row_is_kept_and_renewed_until_the_work_of_the_term_has_ended",
    ),
    Mutant(
        name="maintenance_outlives_its_owner",
        of="W-14",
        what="the maintainer is not stopped after the elector, and its end does not end what it began",
        changes=(
            Change(
                "client/worker_half.py",
                "parts = (self.maintainer, self.elector)",
                "parts = (self.elector, self.maintainer)",
            ),
            Change(
                MAINTAINER,
                "            unsubscribe()\n            await self._retire()\n",
                "            unsubscribe()\n",
            ),
            Change(MAINTAINER, "await tenure.start(tenure.term.scope)", "await tenure.start()"),
            Change(TENURE, "self._let_go = term.hold(self)", "self._let_go = lambda: None"),
        ),
        killer="tests/leadership/test_degraded.py::"
        "test_S_095_a_real_client_stops_while_its_maintenance_is_being_started[sqlite-fails]",
    ),
    Mutant(
        name="a_lock_is_held_while_a_service_starts",
        of="W-20",
        what="a stop waits behind the start under way, since both take one lock",
        changes=(
            Change(
                SERVICE,
                "        self.__generation = 0\n",
                "        self.__generation = 0\n        self.__lock = asyncio.Lock()\n",
            ),
            Change(
                SERVICE,
                "            return await self.__bring_up(self.__begin(scope))",
                "            async with self.__lock:\n"
                "                return await self.__bring_up(self.__begin(scope))",
            ),
            Change(
                SERVICE,
                "        run.check_loop()\n        run.scope.cancel(cause)",
                "        run.check_loop()\n"
                "        async with self.__lock:\n"
                "            run.scope.cancel(cause)",
            ),
        ),
        killer=CONTRACT + "test_S_014_a_stop_ends_a_start_under_way",
        hangs=True,
    ),
    Mutant(
        name="gaining_waits_behind_a_stop_without_end",
        of="W-20",
        what="a service that does not end when it is told to holds up the next term for ever",
        changes=(Change(TENURE, "service.stop_grace = LONGEST_END", "service.stop_grace = None"),),
        killer="tests/leadership/test_mutant_scenarios.py::"
        "test_S_096_a_service_that_never_ends_holds_up_the_next_term_until_it_is_cancelled",
    ),
    Mutant(
        name="a_gain_told_twice_makes_two_tenures",
        of="W-21",
        what="whoever is told that it leads begins, though it has begun",
        changes=(
            Change(
                MAINTAINER,
                "if term is None or self.tenure is not None or self.stopping.is_set():",
                "if term is None or self.stopping.is_set():",
            ),
        ),
        killer=STALE + "test_S_093_changes_that_are_told_twice_make_one_tenure",
    ),
    Mutant(
        name="every_change_is_replayed",
        of="W-22",
        what="changes are worked off one by one in their order, each with a start and a stop",
        changes=(
            Change(
                MAINTAINER,
                "        self._changed = asyncio.Event()\n",
                "        self._changed = asyncio.Event()\n        self._queue = []\n",
            ),
            Change(
                MAINTAINER,
                "    def _on_change(self, _event: LeadershipEvent) -> None:\n",
                "    def _on_change(self, event: LeadershipEvent) -> None:\n"
                "        self._queue.append(event)\n",
            ),
            Change(
                MAINTAINER,
                "                await self._reconcile()\n",
                "                while self._queue:\n"
                "                    self._event = self._queue.pop(0)\n"
                "                    await self._reconcile()\n",
            ),
            Change(
                MAINTAINER,
                "if self.tenure is not None and self.tenure.term is not self._elector.term:",
                "if self.tenure is not None:",
            ),
            Change(
                MAINTAINER,
                "        term = self._elector.term\n",
                "        term = self._event.term if self._event.is_leader else None\n",
            ),
            Change(
                MAINTAINER,
                '        self.spawn(self._begin(tenure), name=f"{tenure.name}: begin")\n',
                "        await tenure.start()\n        self.spawn(self._judge(tenure))\n",
            ),
        ),
        killer=STALE + "test_S_092_of_many_changes_during_a_drain_only_the_last_counts",
    ),
    Mutant(
        name="a_run_says_itself_that_it_has_ended",
        of="W-24",
        what="`stopped` is set by the body, which a cancellation may keep from ever running",
        changes=(
            Change(
                RUN,
                "        self._body = self.spawn(body, self.name)\n",
                "        self._body = self.spawn(self._to_its_end(body), self.name)\n",
            ),
            Change(
                RUN,
                "        self.stopped.set()\n",
                "        if self.has_ended:\n            self.stopped.set()\n",
            ),
            Change(
                RUN,
                "    def ready(self) -> None:\n",
                "    has_ended = False\n\n"
                "    async def _to_its_end(self, body):\n"
                "        try:\n"
                "            await body\n"
                "        finally:\n"
                "            self.has_ended = True\n\n"
                "    def ready(self) -> None:\n",
            ),
        ),
        killer=CONTRACT + "test_S_015_a_body_cancelled_before_its_first_step_fires_both_events",
        hangs=True,
    ),
    Mutant(
        name="after_a_failed_start_the_handles_are_stale",
        of="W-24",
        what="`stopped` of a service whose start has failed is the event of that start",
        changes=(
            Change(
                SERVICE,
                "self.__next[1] if (run := self.current_run) is None",
                "self.__next[1] if (run := self.__latest) is None",
            ),
        ),
        killer=CONTRACT + "test_S_007_after_a_failed_start_the_handles_are_those_of_the_next_run",
    ),
)
