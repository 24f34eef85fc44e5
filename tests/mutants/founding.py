"""The bugs that River's pull request #1184 was about, and those that its review found in it.

`seed` is what it set out to mend: a start that fails leaves a leader without maintenance. `seed-1` to
`seed-6` are the findings, by the numbers of the scenarios.
"""

from tests.mutants.maintenance import RESIGN
from tests.mutants.mutant import Change, Mutant

ELECTOR = "runtime/elector.py"
MAINTAINER = "runtime/maintainer.py"
UPKEEP = "runtime/upkeep.py"
RUN = "runtime/run.py"
SCOPE = "runtime/scope.py"
FOUNDED = "tests/leadership/test_founding.py::"
STALE = "tests/leadership/test_stale_terms.py::"

FOUNDING = (
    Mutant(
        name="a_failed_start_is_logged_and_nothing_more",
        of="seed",
        what="a service that cannot be started once is not tried again",
        changes=(
            Change(
                UPKEEP,
                "                    await self._pause()\n",
                "                    await (self._pause() if up else self.stopping.wait())\n",
            ),
        ),
        killer=FOUNDED + "test_S_074_a_passing_failure_costs_a_second_and_no_term",
    ),
    Mutant(
        name="an_exhausted_leader_leads_on",
        of="seed",
        what="when all attempts have failed, the term is kept without maintenance",
        changes=(Change(MAINTAINER, RESIGN, "logger.debug('%s', seconds)"),),
        killer=FOUNDED
        + "test_S_073_a_service_is_tried_three_times_and_then_the_term_is_handed_over",
    ),
    Mutant(
        name="one_attempt_too_many",
        of="seed",
        what="the attempts are counted from nought",
        changes=(Change(UPKEEP, "if health.failures >= limit:", "if health.failures > limit:"),),
        killer=FOUNDED
        + "test_S_073_a_service_is_tried_three_times_and_then_the_term_is_handed_over",
    ),
    Mutant(
        name="the_first_pause_is_two_seconds",
        of="seed",
        what="the pauses grow one step ahead",
        changes=(
            Change(
                "runtime/backoff.py",
                "exponent = attempt - 1 if reset is None",
                "exponent = attempt if reset is None",
            ),
        ),
        killer=FOUNDED
        + "test_S_073_a_service_is_tried_three_times_and_then_the_term_is_handed_over",
    ),
    Mutant(
        name="no_pause_between_attempts",
        of="seed",
        what="what fails is tried again at once, in a hot loop",
        changes=(
            Change(
                UPKEEP,
                "max(until - self._clock.monotonic(), 0.0)",
                "min(until - self._clock.monotonic(), 0.0)",
            ),
        ),
        killer=FOUNDED
        + "test_S_073_a_service_is_tried_three_times_and_then_the_term_is_handed_over",
    ),
    Mutant(
        name="a_success_does_not_begin_the_count_anew",
        of="seed",
        what="failures before a success still count towards handing over",
        changes=(
            Change(
                UPKEEP,
                "health.state, health.failures, health.error = MaintenanceServiceState.RUNNING, 0, None",
                "health.state, health.error = MaintenanceServiceState.RUNNING, None",
            ),
        ),
        killer="tests/leadership/test_mutant_scenarios.py::"
        "test_S_074_each_success_begins_the_count_of_attempts_anew",
    ),
    Mutant(
        name="a_failed_start_never_says_that_it_has_stopped",
        of="seed-1",
        what="the early error returns of a service skip `stopped`: it can neither stop nor start again",
        changes=(
            Change(
                RUN,
                "        self.started.set()\n        self.stopped.set()\n",
                "        self.started.set()\n"
                "        if self.did_start or self.error is None:\n"
                "            self.stopped.set()\n",
            ),
        ),
        killer="tests/maintenance/test_periodic_scenarios.py::"
        "test_S_005_an_enqueuer_that_cannot_read_the_rows_does_not_start[sqlite-has_periodic_table]",
    ),
    Mutant(
        name="what_a_failed_start_began_goes_on",
        of="seed-1",
        what="tasks that a service began before its start failed are not ended",
        changes=(
            Change(
                RUN,
                "        if task is self._body:\n            self._cancel_tasks()\n",
                "        if task is self._body:\n"
                "            self._cancel_tasks() if self.did_start else self._tasks.clear()\n",
            ),
            Change(
                RUN,
                "        if not self.did_start:\n            self._cancel_tasks()\n",
                "        if not self.did_start and self.error is None:\n"
                "            self._cancel_tasks()\n",
            ),
        ),
        killer="tests/contract/test_service_scenarios.py::"
        "test_S_006_a_failing_start_leaves_no_task_behind",
    ),
    Mutant(
        name="services_started_before_a_failing_one_run_on",
        of="seed-2",
        what="when one service cannot be started, those before it are not stopped",
        changes=(
            Change(
                "runtime/groups.py",
                "            await _stop_quietly(services[: index + 1])\n",
                "            await _stop_quietly(services[index:index])\n",
            ),
        ),
        killer="tests/contract/test_groups.py::"
        "test_S_010_the_first_error_is_raised_and_the_others_are_stopped[2]",
    ),
    Mutant(
        name="who_could_not_be_started_is_not_stopped",
        of="seed-2",
        what="a service whose start failed is forgotten instead of ended",
        changes=(
            Change(
                UPKEEP,
                "        await self._end(Cause.TIMEOUT if isinstance(error, TimeoutError) else Cause.STOP)\n",
                "",
            ),
        ),
        killer="tests/leadership/test_degraded.py::"
        "test_S_091_no_more_than_eight_are_left_behind_and_then_it_makes_no_bid[deaf]",
    ),
    Mutant(
        name="stale_exhaustion_resigns_the_newer_term",
        of="seed-3",
        what="whoever has used up its attempts gives up whatever term there is by then",
        changes=(
            Change(
                ELECTOR,
                "        if term is not self.term:\n            return False\n",
                "        if self.term is None:\n            return False\n"
                "        term = self.term\n",
            ),
        ),
        killer=FOUNDED + "test_S_081_exhaustion_of_an_older_term_does_not_touch_the_newer",
    ),
    Mutant(
        name="a_pause_between_attempts_outlives_the_term",
        of="seed-3",
        what="whoever waits for its next attempt does not notice that its term is over",
        changes=(
            Change(
                UPKEEP,
                "await self._clock.wait_for_event(self.stopping, max(",
                "await self._clock.wait_for_event(asyncio.Event(), max(",
            ),
        ),
        killer=FOUNDED + "test_S_079_a_term_that_is_lost_between_two_attempts_is_over_at_once",
    ),
    Mutant(
        name="the_last_cause_wins",
        of="seed-4",
        what="who is cancelled a second time forgets why it had to end",
        changes=(
            Change(
                SCOPE,
                "        if self.cause is None:\n            self._cause = cause\n",
                "        if True:\n            self._cause = cause\n",
            ),
        ),
        killer="tests/contract/test_scope.py::"
        "test_S_085_every_cause_is_written_down_before_anybody_is_told",
    ),
    Mutant(
        name="a_loss_has_no_cause",
        of="seed-4",
        what="what ends with its term was merely cancelled, and so does not clean up",
        changes=(
            Change(
                "runtime/term.py",
                "Cause.STOP if reason is LeadershipReason.STOP else Cause.LEADERSHIP_LOST",
                "Cause.STOP if reason is LeadershipReason.STOP else Cause.CANCELLED",
            ),
            Change(
                "maintenance/reindexer.py",
                "if self.scope.cause in (None, Cause.TIMEOUT):",
                "if self.scope.cause is None or not self.scope.cause.is_stop:",
            ),
        ),
        killer=STALE
        + "test_S_084_a_build_ends_with_its_term_leaves_nothing_and_is_made_the_next_night",
    ),
    Mutant(
        name="a_loss_does_not_end_the_start_under_way",
        of="seed-4",
        what="a start goes on after its term, until it has come to its own end",
        changes=(
            Change(MAINTAINER, "await tenure.start(tenure.term.scope)", "await tenure.start()"),
            Change(
                MAINTAINER,
                "        try:\n            await tenure.stop(",
                "        try:\n            await tenure.started.wait()\n            await tenure.stop(",
            ),
        ),
        killer="tests/leadership/test_degraded.py::"
        "test_S_090_a_loss_is_handled_at_once_while_a_hook_hangs",
    ),
    Mutant(
        name="a_late_failure_stops_the_newer_maintenance",
        of="seed-5",
        what="an attempt of a term that is over fails, and stops what there is by then",
        changes=(
            Change(
                UPKEEP,
                "            if not start.done():\n                start.cancel()\n",
                "            if not start.done():\n"
                "                late = self.service.current_run._body\n"
                "                late.add_done_callback(lambda _: self._on_trouble(self))\n"
                "                start.cancel()\n",
            ),
            Change(
                MAINTAINER,
                "        if tenure.term.over or tenure is not self.tenure:\n            return\n",
                "        if tenure.term.over and self.tenure is not None:\n"
                "            self.spawn(self.tenure.stop())\n"
                "        if tenure.term.over or tenure is not self.tenure:\n            return\n",
            ),
        ),
        killer=STALE
        + "test_S_086_S_087_a_start_that_returns_much_too_late_does_nothing_to_the_next_term[late fail]",
    ),
    Mutant(
        name="looks_and_then_stops_whatever_there_is",
        of="seed-6",
        what="a failed attempt sees that its term goes on, and a moment later stops whatever runs then",
        changes=(
            Change(
                UPKEEP,
                "        await self._end(Cause.TIMEOUT if isinstance(error, TimeoutError) else Cause.STOP)\n",
                "        await self._end(Cause.TIMEOUT if isinstance(error, TimeoutError) else Cause.STOP)\n"
                "        self._on_trouble(self)\n",
            ),
            Change(
                MAINTAINER,
                "    def _on_trouble(self, tenure: Tenure, upkeep: Upkeep) -> None:\n",
                "    async def _stop_whatever_there_is(self, failed):\n"
                "        await self._clock.sleep(0.01)\n"
                "        if self.tenure is not None:\n"
                "            for upkeep in self.tenure.upkeeps:\n"
                "                if upkeep.name == failed.name and upkeep.service is not None:\n"
                "                    await upkeep.service.stop()\n\n"
                "    def _on_trouble(self, tenure: Tenure, upkeep: Upkeep) -> None:\n"
                "        if not tenure.term.over and tenure is self.tenure:\n"
                "            self.spawn(self._stop_whatever_there_is(upkeep))\n",
            ),
        ),
        killer="tests/simulation/test_kernels.py::"
        "test_S_088_nothing_of_a_failing_start_stops_the_next_term[fail]",
    ),
)
