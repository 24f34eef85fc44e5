"""Bugs that River had once, by the numbers of its issues and pull requests, and one of Oban's."""

from tests.mutants.mutant import Change, Mutant

ELECTOR = "runtime/elector.py"
LEASE = "runtime/lease.py"
SQL = "drivers/sql/sqlite/"
DATABASES = "tests/leadership/test_elector_db.py::"
ELECTED_AT = "unixepoch(elected_at, 'subsec') = unixepoch(:elected_at, 'subsec')"

HISTORY = (
    Mutant(
        name="a_loser_believes_it_won",
        of="#197",
        what="a renewal compares the row with itself, and so renews whatever is there",
        changes=(
            Change(SQL + "reelect_leader.sql", ELECTED_AT, ":elected_at is not null"),
            Change(SQL + "reelect_leader.sql", "leader_id = :leader_id", ":leader_id is not null"),
        ),
        killer=DATABASES
        + "test_S_029_to_renew_or_resign_anything_but_this_very_term_has_no_effect[sqlite-another id]",
    ),
    Mutant(
        name="every_bid_wins",
        of="#199",
        what="a bid that meets the row of another is answered with that row",
        changes=(
            Change(
                SQL + "elect_leader.sql",
                "on conflict (name) do nothing",
                "on conflict (name) do update set name = excluded.name",
            ),
        ),
        killer=DATABASES + "test_S_029_a_lease_that_ends_this_very_moment_is_not_expired[sqlite]",
    ),
    Mutant(
        name="a_lease_is_as_long_as_the_interval",
        of="#216",
        what="a lease runs out just when it is to be renewed",
        changes=(
            Change(
                LEASE,
                "self._client_id, elected_at, ttl=self._options.lease",
                "self._client_id, elected_at, ttl=self._options.interval",
            ),
            Change(
                LEASE,
                "self._leader.elect(\n            self._client_id, ttl=self._options.lease",
                "self._leader.elect(\n            self._client_id, ttl=self._options.interval",
            ),
        ),
        killer="tests/leadership/test_elector_virtual.py::"
        "test_S_039_who_is_cut_off_says_so_before_the_next_leads_and_before_it_resigns",
    ),
    Mutant(
        name="a_resignation_finds_nothing",
        of="#134",
        what="a slip in the statement keeps a resignation from deleting the row",
        changes=(
            Change(SQL + "resign_leader.sql", "leader_id = :leader_id", "leader_id <> :leader_id"),
        ),
        killer=DATABASES + "test_S_024_who_is_alone_leads_until_it_stops_and_says_so[sqlite]",
    ),
    Mutant(
        name="resigns_by_the_id_alone",
        of="#1488",
        what="an older term of a client gives up the newer",
        changes=(Change(SQL + "resign_leader.sql", ELECTED_AT, ":elected_at is not null"),),
        killer=DATABASES
        + "test_S_029_to_renew_or_resign_anything_but_this_very_term_has_no_effect[sqlite-another term]",
    ),
    Mutant(
        name="who_was_asked_to_resign_bids_at_once",
        of="#286",
        what="a leader that resigns elects itself again before anybody else can",
        changes=(Change(ELECTOR, "abstain=self._draw(0.25, 0.5)", "abstain=0.0"),),
        killer="tests/leadership/test_summons.py::"
        "test_S_036_whoever_waits_for_the_row_wins_it_from_whoever_was_asked_to_resign",
    ),
    Mutant(
        name="its_own_resignation_wakes_it",
        of="#286",
        what="a client that hears of its own resignation bids again",
        changes=(
            Change(
                "runtime/summons.py",
                "not self._is_our_own(message)",
                "self._is_our_own(message) is not None",
            ),
        ),
        killer="tests/leadership/test_summons.py::"
        "test_S_034_to_hear_of_its_own_resignation_moves_nobody",
    ),
    Mutant(
        name="a_wake_up_that_nobody_waits_for_is_lost",
        of="#1205",
        what="a message that comes while a question is under way is forgotten",
        changes=(
            Change(
                ELECTOR,
                "        woken = await self._clock.wait_for_event(self._woken",
                "        self._woken.clear()\n"
                "        woken = await self._clock.wait_for_event(self._woken",
            ),
        ),
        killer="tests/leadership/test_mutant_scenarios.py::"
        "test_S_033_a_resignation_that_is_heard_during_a_look_is_not_lost",
    ),
    Mutant(
        name="a_term_is_not_issued_by_the_database",
        of="#1213",
        what="when a term began is taken from the local clock",
        changes=(
            Change(
                ELECTOR,
                "            self._client_id,\n            row.elected_at,\n",
                "            self._client_id,\n            self._clock.now(),\n",
            ),
        ),
        killer=DATABASES + "test_S_024_who_is_alone_leads_until_it_stops_and_says_so[sqlite]",
    ),
)
