"""Unique keys equal those of River for Go, byte for byte."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.model.errors import ValidationError
from riverrun.model.job import JobState
from riverrun.model.unique import (
    DEFAULT_MASK,
    UniqueOptions,
    period_start,
    state_mask,
    unique_key,
    unique_text,
)

FIXTURES = Path(__file__).parents[3] / "shared" / "conformance" / "fixtures"
NOW = datetime(2024, 9, 15, 10, 7, 31, 250000, UTC)


def key(options: UniqueOptions, kind: str, args: str = "{}", queue: str = "default") -> str:
    return unique_key(options, kind=kind, encoded_args=args, queue=queue, at=NOW).hex()


EMAIL = '{"subject":"Test Email","recipient":"user@example.com","count":10}'
LETTER = (
    '{"addresses":{"recipient":"john@example.com","bcc":""},"subject":"Another Test Email",'
    '"body":"x"}'
)
URL = r'{"url":"https://example.com/?a=1\u0026b=\u003c2\u003e","label":"café"}'
QUARTER = "15m"
BY_RECIPIENT = UniqueOptions(by_args=["recipient"])
BY_PATHS = UniqueOptions(by_args=["subject", ("addresses", "recipient")])

EXAMPLES = [
    (
        UniqueOptions(by_state=["available", "pending", "running", "scheduled"]),
        ("worker_7",),
        "&kind=worker_7",
        "6ad46d4771a5db81e05a454f0cae07dc75bd0a77152255d4852a7463161df3cb",
    ),
    (
        UniqueOptions(by_args=True),
        ("send_email", EMAIL),
        '&kind=send_email&args={"count":10,"recipient":"user@example.com","subject":"Test Email"}',
        "72b46b76c322c23a49cfa0d5e4ee83a546a762ac673f58945ba4019f74d2eaf4",
    ),
    (
        BY_RECIPIENT,
        ("send_email", EMAIL),
        '&kind=send_email&args={"recipient":"user@example.com"}',
        "4d8f870cbd6d591d4f0fb515a9da6c346f0f4d947aaba142ebee0e778ef744be",
    ),
    (
        BY_PATHS,
        ("send_email", LETTER),
        (
            '&kind=send_email&args={"addresses":{"recipient":"john@example.com"},'
            '"subject":"Another Test Email"}'
        ),
        "0361cd56355a61c7c5df7185493e656da5f4f142b7a013bd97e549809a8a4a81",
    ),
    (
        UniqueOptions(by_period=QUARTER),
        ("sync_account",),
        "&kind=sync_account&period=2024-09-15T10:00:00Z",
        "c7d6ce6274f9d9fd4efbbdbcaf1ab7f877a7c021dc53fca08c5f3438b0a131bf",
    ),
    (
        UniqueOptions(by_args=True, by_period=QUARTER, by_queue=True),
        ("sync_account", '{"account_id":123}', "high_priority"),
        '&kind=sync_account&args={"account_id":123}&period=2024-09-15T10:00:00Z&queue=high_priority',
        "6bc0ba7fa8e0b4abe5c33495d0d9cdb8e262716a6135bf677c8c2b5fe044c9da",
    ),
    (
        UniqueOptions(exclude_kind=True, by_args=True),
        ("any", '{"task_id":"task_123"}'),
        '&args={"task_id":"task_123"}',
        "4b48cf5f2559d1de919b01391108cc5577d10e6e56a10bda33618b98b6054252",
    ),
    (
        UniqueOptions(by_period="168h"),
        ("report",),
        "&kind=report&period=2024-09-09T00:00:00Z",
        "26211d2529ce6af6331c2aa6aa6fd1d2d75c0e51dafcb056860a95315fa198bf",
    ),
    (
        UniqueOptions(by_args=True),
        ("fetch_url", URL),
        (
            '&kind=fetch_url&args={"label":"café","url":"https://example.com/'
            r'?a=1\u0026b=\u003c2\u003e"}'
        ),
        "863ecbaa193bbc562dc688bc175da0adaad780c79d392e5a0957ce11dcad9d9f",
    ),
    (
        UniqueOptions(by_args=True),
        ("nested", '{"n":null,"list":[3,1],"a":{"z":1,"b":2}}'),
        '&kind=nested&args={"a":{"z":1,"b":2},"list":[3,1],"n":null}',
        "d24702c0f225525237a96ad1e2ee043d9298813b0bd995fc6f44840cc1cde6c8",
    ),
    (
        UniqueOptions(by_args=True),
        ("empty", "{}"),
        "&kind=empty&args={}",
        "88625ed945004243a273b45e5cf14faf6b91c6bb4a6e6cc621d859637385f9ec",
    ),
    (
        UniqueOptions(by_args=["phone", ("user", "id")]),
        ("sms", '{"text":"hi"}'),
        "&kind=sms&args=",
        "1d432327ce7b2a18f9cef09bb8f28a55fbc9f0925bb9dfd4f3606ffbbea23e6c",
    ),
]


@pytest.mark.parametrize(("options", "job", "text", "digest"), EXAMPLES)
def test_worked_examples(
    options: UniqueOptions, job: tuple[str, ...], text: str, digest: str
) -> None:
    kind, args, queue = (*job, "{}", "default")[:3] if len(job) < 3 else job
    assert unique_text(options, kind, args, queue, NOW) == text
    assert key(options, kind, args, queue) == sha256(text.encode()).hexdigest() == digest


def read_fixture(name: str) -> str:
    path = FIXTURES / name
    if not path.is_file():
        pytest.skip(f"no River conformance fixtures beside the repository: {name}")
    return path.read_text(encoding="utf-8")


def objects_of(text: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each case of the file, decoded, with the text of its args freed of blanks between tokens."""
    compact = re.sub(r'("(?:[^"\\]|\\.)*")|\s+', r"\1", text)
    decoder = json.JSONDecoder()
    for match in re.finditer(r'\{"args":', compact):
        case, _ = decoder.raw_decode(compact, match.start())
        _, end = decoder.raw_decode(compact, match.end())
        yield case, compact[match.end() : end]


def options_of(case: dict[str, Any]) -> UniqueOptions:
    given_options = case["options"]
    paths = case.get("selected_unique_paths")
    selection = [path.split(".") for path in paths] if paths else given_options["by_args"]
    return UniqueOptions(
        by_args=selection if given_options["by_args"] else False,
        by_period=timedelta(microseconds=given_options["by_period_nanos"] // 1000),
        by_queue=given_options["by_queue"],
        by_state=given_options.get("by_state"),
        exclude_kind=given_options["exclude_kind"],
    )


def test_every_case_of_the_shared_fixture() -> None:
    text = read_fixture("unique_keys.json")
    checked = 0
    for case, args in objects_of(text):
        options = options_of(case)
        at = datetime.fromisoformat(case["scheduled_at"] or case["now"])
        digest = unique_key(
            options, kind=case["kind"], encoded_args=args, queue=case["queue"], at=at
        )
        assert digest.hex() == case["expected_sha256"], case["name"]
        assert options.mask == case["expected_state_mask"], case["name"]
        checked += 1
    assert checked == text.count('"expected_sha256"')


def test_every_state_has_the_bit_of_the_shared_fixture() -> None:
    states = json.loads(read_fixture("protocol_values.json"))["job_states"]
    assert {entry["state"]: entry["unique_bit"] for entry in states} == {
        state.value: state_mask([state]) for state in JobState
    }


@pytest.mark.parametrize(
    ("left_out", "mask"),
    [((), 255), (("cancelled", "discarded"), 245), (("cancelled", "discarded", "retryable"), 213)],
)
def test_masks(left_out: tuple[str, ...], mask: int) -> None:
    states = [state for state in JobState if state not in left_out]
    assert UniqueOptions(by_state=states).mask == mask


def test_no_states_mean_the_default_ones_and_still_make_a_job_unique() -> None:
    options = UniqueOptions(by_state=[])
    assert options.active
    assert options.mask == DEFAULT_MASK == 245


def test_options_that_say_nothing_make_nothing_unique() -> None:
    assert not UniqueOptions().active
    assert not UniqueOptions(by_period=0).active


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"by_period": 0.5}, "by_period should not be less than 1 second"),
        ({"by_period": -1}, "negative"),
        ({"by_period": float("nan")}, "no duration"),
        ({"by_period": "soon"}, "no duration"),
        ({"by_state": ["available"]}, "missing: pending, running, scheduled$"),
        ({"by_state": ["lost"]}, "invalid state 'lost'"),
        ({"by_state": "available"}, "must be a list"),
        ({"exclude_kind": True}, "exclude_kind says only"),
        ({"by_args": ["a", ("a", "b")]}, "already contains"),
        ({"by_args": []}, "selects nothing"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        UniqueOptions(**options)


@pytest.mark.parametrize(
    ("at", "period", "start"),
    [
        ("2026-01-02T03:04:05.678+00:00", "1s", "2026-01-02T03:04:05Z"),
        ("2026-01-01T22:04:05-05:00", "1h", "2026-01-02T03:00:00Z"),
        ("2024-09-15T23:59:59+00:00", "7d", "2024-09-09T00:00:00Z"),
        ("2024-09-16T00:00:00+00:00", "7d", "2024-09-16T00:00:00Z"),
        ("0033-01-01T00:00:01+00:00", "1m", "0033-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59+00:00", "1d", "9999-12-31T00:00:00Z"),
    ],
)
def test_periods_are_counted_from_year_one_in_utc(at: str, period: str, start: str) -> None:
    options = UniqueOptions(by_period=period)
    assert period_start(datetime.fromisoformat(at), options.period) == start


@given(st.dictionaries(st.text(), st.integers(), max_size=5), st.randoms())
def test_the_order_of_keys_does_not_change_the_key(args: dict[str, int], random: Any) -> None:
    names = list(args)
    random.shuffle(names)
    shuffled = {name: args[name] for name in names}
    options = UniqueOptions(by_args=True)
    assert key(options, "kind", json.dumps(args)) == key(options, "kind", json.dumps(shuffled))
