"""Weaknesses of maintaining: starts that fail or hang, effects that come twice, indexes."""

from tests.mutants.mutant import Change, Mutant

MAINTAINER = "runtime/maintainer.py"
UPKEEP = "runtime/upkeep.py"
ENQUEUER = "maintenance/periodic_job_enqueuer.py"
REGISTRY = "model/periodic_jobs.py"
REINDEXER = "maintenance/reindexer.py"
RESCUE = "drivers/sql/sqlite/rescue_jobs.sql"
RESIGN = "self._elector.resign(tenure.term, LeadershipReason.MAINTENANCE_FAILED, abstain=seconds)"
FOUNDING = "tests/leadership/test_founding.py::"
DEGRADED = "tests/leadership/test_degraded.py::"
SERVICES = "tests/leadership/test_maintainer.py::"
STARTS = "tests/maintenance/test_periodic_scenarios.py::"
INDEXES = "tests/maintenance/test_reindexer.py::"
NEW = "tests/leadership/test_mutant_scenarios.py::"

MAINTENANCE = (
    Mutant(
        name="bids_at_once_after_it_failed",
        of="W-02",
        what="whoever failed does not abstain, and so wins again",
        changes=(
            Change(
                MAINTAINER,
                "return min(seconds, LONGEST_ABSTENTION) * self._draw(1.0, 1.1)",
                "return 0 * seconds",
            ),
        ),
        killer=FOUNDING
        + "test_S_076_a_healthy_client_takes_over_while_the_failing_one_makes_no_bid[True]",
    ),
    Mutant(
        name="abstains_no_longer_each_time",
        of="W-02",
        what="however often it has failed, it bids again after seven seconds",
        changes=(Change(MAINTAINER, "2 ** min(self.failed_terms - 1, 8)", "1"),),
        killer=NEW
        + "test_S_077_each_failed_term_is_followed_by_a_longer_abstention_up_to_a_minute",
    ),
    Mutant(
        name="what_fails_everywhere_is_handed_over_for_ever",
        of="W-02",
        what="where nobody can start a service, every client gives up each of its terms",
        changes=(
            Change(
                MAINTAINER,
                "return self._degrade and self.failed_terms >= PATIENCE and not others_can",
                "return self._degrade and others_can is None",
            ),
        ),
        killer=FOUNDING + "test_S_077_a_hook_that_always_fails_costs_periodic_jobs_and_little_else",
    ),
    Mutant(
        name="hands_over_by_a_broadcast",
        of="W-03",
        what="an exhausted client asks whoever leads to resign, in a message that names nobody",
        changes=(
            Change(MAINTAINER, RESIGN, "self.spawn(self._broadcast())"),
            Change(
                MAINTAINER,
                "    def _abstention(self)",
                "    async def _broadcast(self):\n"
                "        from riverrun.drivers.operations import Operations\n"
                "        database = self._elector._lease._database\n"
                "        notify = Operations(database.dialect).notifications.notify\n"
                '        payload = \'{"action": "request_resign", "leader_id": ""}\'\n'
                "        await database.run(notify('river_leadership', [payload]))\n\n"
                "    def _abstention(self)",
            ),
        ),
        killer=FOUNDING + "test_S_082_handing_over_needs_no_notifications[poll only]",
    ),
    Mutant(
        name="hooks_have_no_time_limit",
        of="W-05",
        what="a start hook that never returns is waited for",
        changes=(
            Change(
                ENQUEUER,
                "limit, error = asyncio.timeout(self._hook_timeout), None",
                "limit, error = asyncio.timeout(None), None",
            ),
        ),
        killer=DEGRADED + "test_S_090_a_hook_that_never_returns_costs_three_attempts_and_the_term",
    ),
    Mutant(
        name="starts_have_no_time_limit",
        of="W-05",
        what="a service that never gets ready is waited for",
        changes=(
            Change(
                UPKEEP,
                "asyncio.wait({start}, timeout=self._options.start_timeout)",
                "asyncio.wait({start})",
            ),
        ),
        killer=NEW + "test_S_090_a_service_that_never_gets_ready_costs_its_attempts_and_the_term",
    ),
    Mutant(
        name="nobody_watches_what_has_started",
        of="W-06",
        what="a service that dies in the middle of a term stays dead",
        changes=(
            Change(
                UPKEEP,
                "                if up:\n                    await self._watch()\n",
                "                if up:\n                    await self.stopping.wait()\n",
            ),
        ),
        killer=SERVICES + "test_S_069_a_service_that_dies_is_started_again_within_the_term",
    ),
    Mutant(
        name="nobody_notices_what_hangs",
        of="W-06",
        what="a service that hangs in one round keeps the lease for ever",
        changes=(
            Change(
                UPKEEP,
                "return any(each.stalled for each in services if isinstance(each, PeriodicService))",
                "return not services",
            ),
        ),
        killer=SERVICES
        + "test_S_070_a_service_that_hangs_is_started_again_on_another_connection[Do.HANG]",
    ),
    Mutant(
        name="inserts_are_not_fenced",
        of="W-07",
        what="what a leader inserts is committed although its term is over",
        changes=(
            Change(
                "runtime/term_handle.py",
                "return await self.transact(self._with_fence(script))",
                "return await self.transact(script)",
            ),
        ),
        killer="tests/maintenance/test_periodic_ticks.py::"
        "test_S_045_on_sqlite_a_transaction_that_outlasts_its_term_is_rolled_back",
    ),
    Mutant(
        name="rescues_by_the_id_alone",
        of="W-07",
        what="a job that has ended since it was read is put back into the queue",
        changes=(
            Change(RESCUE, "    and (state = 'running') is true\n", ""),
            Change(
                RESCUE,
                "coalesce(strftime('%Y-%m-%d %H:%M:%f', attempted_at), attempted_at) < :horizon",
                ":horizon is not null",
            ),
            Change(RESCUE, "    and max(attempt, 0) = item.claimed_attempt\n", ""),
            Change(RESCUE, "    and attempted_at = item.claimed_at\n", ""),
        ),
        killer="tests/maintenance/test_job_rescuer.py::"
        "test_S_071_a_job_that_ends_after_it_was_read_keeps_its_end[sqlite-ended]",
    ),
    Mutant(
        name="rescues_by_the_local_clock",
        of="W-07",
        what="how old an attempt is, is reckoned with a clock that may be wrong",
        changes=(
            Change(
                "maintenance/job_rescuer.py",
                "            limit=limit,\n            now=self._db.now,\n",
                "            limit=limit,\n            now=self._db.clock.now(),\n",
            ),
        ),
        killer=NEW + "test_S_071_a_client_whose_clock_is_wrong_takes_back_no_job_of_others[sqlite]",
    ),
    Mutant(
        name="what_a_failed_hook_registered_stays",
        of="W-15",
        what="the second attempt meets the periodic jobs that the first has added",
        changes=(
            Change(
                REGISTRY,
                "        except BaseException:\n            self._undo(stage)\n            raise\n",
                "        except BaseException:\n            raise\n",
            ),
        ),
        killer=STARTS
        + "test_S_066_what_a_hook_added_before_another_failed_is_in_the_registry_once[sqlite]",
    ),
    Mutant(
        name="what_hooks_of_the_last_term_added_stays",
        of="W-15",
        what="a hook that adds the same job in each term fails from the second on",
        changes=(Change(REGISTRY, "self.remove_many(self._from_hooks)", "pass"),),
        killer=STARTS + "test_S_067_the_hook_of_the_next_term_adds_the_same_again[sqlite]",
    ),
    Mutant(
        name="runs_on_start_at_every_attempt",
        of="W-15",
        what="a job that is to run when a term begins is inserted for each try of the enqueuer",
        changes=(Change(ENQUEUER, "self._jobs.started_in(self._db.term_or_none)", "set()"),),
        killer=STARTS + "test_S_064_a_new_term_runs_on_start_again[sqlite]",
    ),
    Mutant(
        name="starts_services_in_any_order",
        of="W-15",
        what="in which order the services start is left to chance",
        changes=(
            Change(
                MAINTAINER,
                "list(services) if isolate",
                "random.sample(services, len(services)) if isolate",
            ),
        ),
        killer=SERVICES + "test_S_063_services_start_in_order",
    ),
    Mutant(
        name="spreads_out_within_the_start",
        of="W-15",
        what="each service waits up to a second before it counts as started",
        changes=(
            Change(
                "runtime/service.py",
                "        await self.prepare()\n        self.ready()\n        pause = self.first_pause\n",
                "        await self.__pause(self.first_pause)\n"
                "        await self.prepare()\n        self.ready()\n        pause = 0.0\n",
            ),
        ),
        killer=SERVICES + "test_S_065_a_pause_before_the_first_round_does_not_delay_the_start",
    ),
    Mutant(
        name="all_or_nothing_always",
        of="W-16",
        what="one hook that fails keeps scheduling and rescuing from running",
        changes=(
            Change(
                MAINTAINER,
                "list(services) if isolate else all_or_nothing(services)",
                "all_or_nothing(services)",
            ),
        ),
        killer=DEGRADED + "test_S_097_a_failing_hook_does_not_delay_jobs_that_are_due",
    ),
    Mutant(
        name="cleans_up_only_when_it_is_stopped",
        of="W-17",
        what="a build that ends since another leads, or the user's task was cancelled, is left behind",
        changes=(
            Change(
                REINDEXER,
                "if self.scope.cause in (None, Cause.TIMEOUT):",
                "if self.scope.cause is not Cause.STOP:",
            ),
        ),
        killer=INDEXES
        + "test_S_103_a_stop_ends_the_build_and_removes_what_it_has_left[leadership_lost]",
    ),
    Mutant(
        name="drops_what_somebody_else_builds",
        of="W-17",
        what="the clean-up takes every artifact for its own",
        changes=(Change(REINDEXER, "if not _is_left_over(artifact):", "if artifact is None:"),),
        killer=INDEXES + "test_S_105_the_clean_up_leaves_alone_what_somebody_else_is_building",
    ),
    Mutant(
        name="never_repairs",
        of="W-17",
        what="what a killed client left behind keeps its index from ever being built anew",
        changes=(Change(REINDEXER, "self._options.repair\n", "not self._options.repair\n"),),
        killer=INDEXES + "test_S_106_what_a_killed_client_left_is_repaired_in_a_later_term",
    ),
    Mutant(
        name="a_start_that_a_loss_has_ended_is_an_error",
        of="W-23",
        what="attempts that end with their term are logged and counted as failures",
        changes=(
            Change(
                UPKEEP,
                "        if self.stopping.is_set():\n            logger.debug(",
                "        if error is None:\n            logger.debug(",
            ),
        ),
        killer=NEW + "test_S_110_a_later_attempt_that_a_loss_has_ended_is_no_error",
    ),
)
