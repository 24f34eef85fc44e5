"""What one inserts the other works, and both read what became of it alike."""

from typing import Any

import pytest

from tests.interop.conftest import Pair
from tests.interop.reading import assert_same, change_jobs, query

EVERY_OPTION: dict[str, Any] = {
    "max_attempts": 7,
    "metadata": {"colour": "blue", "deep": {"list": [1, 2.5, None]}},
    "priority": 3,
    "queue": "letters",
    "scheduled_at": "2100-02-03T04:05:06.123457+00:00",
    "tags": ["nightly", "mail"],
}


def test_a_job_with_every_option_is_read_alike(pair: Pair) -> None:
    one, other = pair
    row = one.insert("complete", note="<ü> & \u2028", **EVERY_OPTION)
    assert (row["state"], row["priority"], row["tags"]) == ("scheduled", 3, ["nightly", "mail"])
    assert_same(other.ask("get", row["id"]), row)


def test_a_job_without_options_is_stored_alike(pair: Pair, database_url: str) -> None:
    """Byte by byte where the database keeps bytes; but Go marks each row it inserts into SQLite."""
    for each in pair:
        each.insert("complete", note="<ü> & \u2028")
    if database_url.startswith("sqlite"):
        change_jobs(database_url, f"metadata = jsonb_remove(metadata, '{NONCE}')")
    first, second = query(database_url, WHOLE_ROWS)
    assert first == second


NONCE = '$."river:unique_nonce"'
WHOLE_ROWS = """
    select args, attempt, attempted_at, attempted_by, errors, finalized_at, kind, max_attempts,
        metadata, priority, queue, state, tags, unique_key, unique_states
    from river_job order by id
"""

ENDS = {
    "complete": ("completed", 1, []),
    "fail": ("discarded", 1, ["a failure in {}"]),
    "cancel": ("cancelled", 1, ["JobCancelError: given up in {}"]),
    "snooze": ("scheduled", 0, []),
}


@pytest.mark.parametrize("do", ENDS)
def test_what_one_inserts_the_other_works(pair: Pair, do: str) -> None:
    one, other = pair
    other.start()
    inserted = one.insert(do, max_attempts=1)
    ended = other.ended(inserted["id"])
    state, attempt, errors = ENDS[do]
    assert (ended["state"], ended["attempt"]) == (state, attempt)
    texts = [each["error"] for each in ended["errors"] or []]
    assert texts == [text.format(other.language.title()) for text in errors]
    assert_same(one.ask("get", inserted["id"]), other.ask("get", inserted["id"]))


def test_the_output_of_a_job_is_read_by_the_other(pair: Pair) -> None:
    one, other = pair
    other.start()
    inserted = one.insert("complete", note="<b>")
    other.ended(inserted["id"])
    seen = one.ask("get", inserted["id"])
    assert seen["metadata"]["output"] == {"by": other.language, "note": "<b>"}


def test_a_job_that_failed_in_one_is_finished_by_the_other(pair: Pair) -> None:
    """The other counts its attempts, keeps its errors, and adds its own name to those who tried."""
    one, other = pair
    one.start()
    inserted = one.insert("fail", max_attempts=2)
    one.ended(inserted["id"])
    one.ask("stop")
    other.start()
    ended = other.ended(inserted["id"])
    assert (ended["state"], ended["attempt"]) == ("discarded", 2)
    assert ended["attempted_by"] == [one.language, other.language]
    assert [each["attempt"] for each in ended["errors"]] == [1, 2]
