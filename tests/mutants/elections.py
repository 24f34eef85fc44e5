"""Weaknesses of electing: how terms are won, kept, said to be over, and given up."""

from tests.mutants.mutant import Change, Mutant

ELECTOR = "runtime/elector.py"
LEASE = "runtime/lease.py"
VIRTUAL = "tests/leadership/test_elector_virtual.py::"
FAULTS = "tests/leadership/test_elector_faults_db.py::"

ELECTIONS = (
    Mutant(
        name="resigns_before_it_says_so",
        of="W-01",
        what="when trust ends, the row is given up first, and maintenance is told after that",
        changes=(
            Change(
                ELECTOR,
                "            if pause <= 0:\n                self._expire(term)\n",
                "            if pause <= 0:\n",
            ),
            Change(
                ELECTOR,
                "        if term.remaining() <= 0:\n",
                "        if term.remaining() <= 0:\n"
                "            await self._lease.resign(term.elected_at)\n",
            ),
        ),
        killer=VIRTUAL
        + "test_S_039_who_is_cut_off_says_so_before_the_next_leads_and_before_it_resigns",
    ),
    Mutant(
        name="resigns_before_its_work_has_ended",
        of="W-01",
        what="the successor is told before the old maintenance has ended",
        changes=(
            Change(ELECTOR, "while not term.free.is_set() and (left", "while False and (left"),
        ),
        killer=VIRTUAL
        + "test_S_040_the_row_is_kept_and_renewed_until_the_work_of_the_term_has_ended",
    ),
    Mutant(
        name="lets_the_lease_run_out_while_its_work_ends",
        of="W-01",
        what="no renewal once the term is over, though its work still goes on",
        changes=(
            Change(
                ELECTOR,
                "ours = term.reason is not None and term.reason.is_voluntary",
                "ours = False",
            ),
        ),
        killer=VIRTUAL
        + "test_S_040_the_row_is_kept_and_renewed_until_the_work_of_the_term_has_ended",
    ),
    Mutant(
        name="sqlite_says_nothing_of_a_resignation",
        of="W-03",
        what="on SQLite a resignation only deletes the row",
        changes=(
            Change(
                "drivers/operations/leader.py",
                "if resigned:",
                "if resigned and self._dialect.is_postgres:",
            ),
        ),
        killer=FAULTS + "test_S_056_a_resignation_on_sqlite_is_a_notification_that_wakes_the_next",
        hangs=True,
    ),
    Mutant(
        name="a_request_to_resign_is_for_everybody",
        of="W-03",
        what="whom and which term a request names is not looked at",
        changes=(
            Change(
                "runtime/summons.py",
                "or not _means(message, self._term)",
                "or _means(message, self._term) is None",
            ),
        ),
        killer="tests/leadership/test_summons.py::"
        "test_S_059_a_request_to_another_client_or_another_term_is_ignored[target0]",
    ),
    Mutant(
        name="wake_ups_postpone_the_renewal",
        of="W-08",
        what="each message starts the five seconds until the next renewal anew",
        changes=(
            Change(
                ELECTOR,
                "due = term.renewed + self._options.interval\n",
                "due = self._clock.monotonic() + self._options.interval\n",
            ),
        ),
        killer=VIRTUAL + "test_S_042_foreign_resignations_do_not_postpone_the_renewal",
    ),
    Mutant(
        name="trust_has_no_timer_of_its_own",
        of="W-08",
        what="that the trust has ended is noticed only where the next renewal is due",
        changes=(Change(ELECTOR, "self.spawn(self._watch(term))", "self.spawn(asyncio.sleep(0))"),),
        killer=VIRTUAL + "test_S_041_whatever_hangs_the_trust_ends_by_a_timer_of_its_own",
    ),
    Mutant(
        name="a_broken_connection_is_asked_again_after_a_pause",
        of="W-09",
        what="a leader whose server crashed trusts itself for a while before it asks for its row",
        changes=(
            Change(ELECTOR, "if self.errors > 1:  # the first", "if self.errors > 0:  # the first"),
            Change(ELECTOR, "backoff(self.errors - 1, reset=3)", "backoff(self.errors, reset=3)"),
        ),
        killer="tests/leadership/test_lease.py::"
        "test_S_052_the_first_failed_renewal_is_repeated_at_once_on_another_connection",
    ),
    Mutant(
        name="the_database_is_not_believed",
        of="W-09",
        what="a fence passes although the row is gone, as long as we trust our term",
        changes=(
            Change(
                "runtime/term_handle.py",
                "if not holds:",
                "if not holds and not term.is_trusted():",
            ),
        ),
        killer="tests/leadership/test_mutant_scenarios.py::"
        "test_S_052_a_row_that_is_gone_fences_whatever_we_believe[sqlite]",
    ),
    Mutant(
        name="the_clock_stands_still_while_the_machine_sleeps",
        of="W-10",
        what="trust is measured by a clock that does not count the time spent suspended",
        changes=(
            Change(
                "runtime/clock.py",
                '"CLOCK_MONOTONIC" if sys.platform == "darwin" else "CLOCK_BOOTTIME"',
                '"CLOCK_BOOTTIME" if sys.platform == "darwin" else "CLOCK_MONOTONIC"',
            ),
        ),
        killer="tests/leadership/test_mutant_scenarios.py::"
        "test_S_043_the_time_for_which_the_machine_slept_counts",
    ),
    Mutant(
        name="the_clock_is_not_looked_at_where_a_term_is_used",
        of="W-10",
        what="a term is trusted until somebody says that it is over",
        changes=(
            Change(
                "runtime/term.py",
                "return not self.over and self.remaining() > 0",
                "return not self.over",
            ),
        ),
        killer=VIRTUAL + "test_S_043_after_a_suspension_the_first_thing_is_to_step_down",
    ),
    Mutant(
        name="a_win_without_an_answer_is_forgotten",
        of="W-11",
        what="whoever never heard of its own win cannot give it up",
        changes=(Change(LEASE, "            self._candidate = row\n", "            pass\n"),),
        killer=FAULTS + "test_S_046_whoever_stops_before_it_knew_resigns_what_it_had_won[sqlite]",
    ),
    Mutant(
        name="a_row_is_adopted_by_its_id_alone",
        of="W-11",
        what="a row with our id is taken for ours, though another process may have won it",
        changes=(
            Change(
                LEASE,
                "return self._candidate is not None and _term(row) == _term(self._candidate)",
                "return row.leader_id == self._client_id",
            ),
        ),
        killer="tests/leadership/test_elector_db.py::"
        "test_S_028_a_newer_term_of_the_same_id_ends_the_older_and_is_left_alone[sqlite]",
    ),
    Mutant(
        name="a_stray_cancellation_ends_the_elector",
        of="W-12",
        what="a CancelledError ends the loop, though nobody cancelled us",
        changes=(
            Change(
                ELECTOR,
                "if isinstance(error, asyncio.CancelledError) and is_being_cancelled():",
                "if isinstance(error, asyncio.CancelledError):",
            ),
            Change(LEASE, "        if task.cancelled():\n", "        if task is None:\n"),
        ),
        killer=VIRTUAL
        + "test_S_048_a_cancellation_that_nobody_asked_for_is_an_error_like_any_other",
    ),
    Mutant(
        name="no_election_without_notifications",
        of="W-12",
        what="where nobody can listen, the elector reports that it runs, and makes no bid",
        changes=(
            Change(
                ELECTOR,
                "        self.ready()\n        try:\n            while not self.stopping.is_set():\n",
                "        self.ready()\n"
                "        if self._summons._notifier is not None:\n"
                "            await self._summons._notifier.proven.wait()\n"
                "        try:\n            while not self.stopping.is_set():\n",
            ),
        ),
        killer=VIRTUAL + "test_S_049_without_notifications_it_leads_and_hears_once_it_can",
    ),
    Mutant(
        name="pauses_after_failures_grow_to_a_minute",
        of="W-13",
        what="nobody leads for up to 70 s after the database has come back",
        changes=(Change(ELECTOR, "LONGEST_FOLLOWER_PAUSE = 8.0", "LONGEST_FOLLOWER_PAUSE = 64.0"),),
        killer=VIRTUAL
        + "test_S_050_a_database_that_was_away_for_minutes_is_led_within_nine_seconds[False]",
    ),
    Mutant(
        name="a_pause_after_a_failure_cannot_be_ended",
        of="W-13",
        what="that the database answers somebody else does not end the pause",
        changes=(
            Change(
                ELECTOR,
                "await self._rest(self._failed(error))",
                "await self._clock.sleep(self._failed(error))",
            ),
        ),
        killer="tests/leadership/test_lease.py::"
        "test_S_050_a_pause_after_failures_ends_when_something_is_heard_of_the_database",
    ),
    Mutant(
        name="the_server_does_not_end_a_frozen_election",
        of="W-18",
        what="a client frozen between the two statements of an election holds up all others",
        changes=(
            Change(
                "drivers/operations/leader.py",
                "        yield from self.limit_transaction()\n"
                '        yield self._ask("delete_expired_leader"',
                '        yield self._ask("delete_expired_leader"',
            ),
        ),
        killer=FAULTS + "test_S_054_an_elector_frozen_within_its_election_holds_up_nobody_for_long",
        hangs=True,
    ),
    Mutant(
        name="the_elector_shares_the_connections_of_the_jobs",
        of="W-19",
        what="jobs that use up the pool cost the client its leadership",
        changes=(
            Change(LEASE, "self._database = database.reserved()", "self._database = database"),
        ),
        killer="tests/leadership/test_mutant_scenarios.py::"
        "test_S_051_who_has_no_connection_left_for_its_jobs_renews_as_before",
    ),
    Mutant(
        name="a_demoted_server_is_kept",
        of="W-19",
        what="a connection to a server that cannot write any more is used on",
        changes=(
            Change(
                "drivers/postgres_errors.py",
                'return sqlstate == "25006" or (sqlstate == "0A000" and "recovery" in str(error))',
                "return sqlstate is error",
            ),
        ),
        killer=FAULTS + "test_S_053_a_connection_to_a_demoted_server_is_given_up_for_another",
    ),
    Mutant(
        name="losses_are_told_at_debug",
        of="W-23",
        what="that a term is over, and why, is not in the log",
        changes=(
            Change(
                ELECTOR,
                'logger.info(\n            "%s no longer leads',
                'logger.debug(\n            "%s no longer leads',
            ),
        ),
        killer="tests/contract/test_leadership_visibility.py::"
        "test_S_108_each_loss_is_told_once_with_its_reason_and_how_long_the_term_was[stop]",
    ),
    Mutant(
        name="nobody_sees_that_nobody_leads",
        of="W-23",
        what="a client without any maintenance counts as healthy",
        changes=(
            Change(
                "client/leadership.py",
                "if idle > PATIENCE and not self._is_maintaining():",
                "if idle > PATIENCE and self._is_maintaining():",
            ),
        ),
        killer="tests/contract/test_leadership_visibility.py::"
        "test_S_111_that_nobody_leads_is_seen_on_every_client",
    ),
    Mutant(
        name="any_resignation_of_our_own_id_is_ignored",
        of="W-25",
        what="of two processes with one id, neither wakes the other",
        changes=(
            Change(
                "runtime/summons.py",
                "is_echo = self._clock.monotonic() - self._resigning < ECHO",
                "is_echo = True",
            ),
        ),
        killer=FAULTS
        + "test_S_047_of_two_processes_with_one_id_one_leads_and_wakes_the_other[sqlite]",
        hangs=True,
    ),
)
