"""Names are accepted or refused exactly as River's rules say."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.model.errors import ValidationError
from riverrun.model.names import (
    check_kind,
    check_max_attempts,
    check_priority,
    check_queue,
    check_tag,
)


@pytest.mark.parametrize("kind", ["ab", "a-", "_1", "send_email", "a[b]<c>/d.e·f:g+h", "x" * 127])
def test_kinds_that_river_accepts(kind: str) -> None:
    assert check_kind(kind) == kind


@pytest.mark.parametrize(
    "kind",
    ["", "a", "-a", "a b", "ab\n", "é1", "aé", "a\0", "😀😀", "x" * 128, "a;--", "a%", None, 7],
)
def test_kinds_that_river_refuses(kind: object) -> None:
    with pytest.raises(ValidationError, match="job kind"):
        check_kind(kind)


@pytest.mark.parametrize("queue", ["a", "default", "a_b-c|d", "1", "a1_2b", "x" * 64])
def test_queues_that_river_accepts(queue: str) -> None:
    assert check_queue(queue) == queue


@pytest.mark.parametrize(
    "queue", ["A", "_a", "a_", "a__b", "a-_b", "a b", "a\n", "é", "a.b", "a\0", "x" * 64 + "!", "*"]
)
def test_queues_that_river_refuses(queue: str) -> None:
    with pytest.raises(ValidationError, match="queue name"):
        check_queue(queue)


def test_a_queue_has_a_name_of_at_most_64_bytes() -> None:
    with pytest.raises(ValidationError, match="queue name cannot be empty"):
        check_queue("")
    with pytest.raises(ValidationError, match="queue name cannot be longer than 64 characters"):
        check_queue("x" * 65)
    with pytest.raises(ValidationError, match="cannot be longer"):
        check_queue("é" * 33)


def test_a_hostile_queue_name_is_refused_at_once() -> None:
    with pytest.raises(ValidationError, match="queue name is invalid"):
        check_queue("a" * 63 + "!")


@pytest.mark.parametrize("tag", ["abc", "a-b", "_-_", "x" * 255])
def test_tags_that_river_accepts(tag: str) -> None:
    assert check_tag(tag) == tag


@pytest.mark.parametrize(
    "tag", ["", "ab", "-ab", "ab-", "a,b", "a b", "abc\n", "éab", "x" * 256, None]
)
def test_tags_that_river_refuses(tag: object) -> None:
    with pytest.raises(ValidationError, match="tag"):
        check_tag(tag)


@pytest.mark.parametrize("priority", [0, 5, -1, True, 1.0, "1", None])
def test_priorities_are_whole_numbers_from_1_to_4(priority: object) -> None:
    assert [check_priority(number) for number in (1, 2, 3, 4)] == [1, 2, 3, 4]
    with pytest.raises(ValidationError, match="priority must be between 1 and 4"):
        check_priority(priority)


@pytest.mark.parametrize("attempts", [0, -1, 32_768, True, 2.0])
def test_max_attempts_fit_their_column(attempts: object) -> None:
    assert [check_max_attempts(number) for number in (1, 32_767)] == [1, 32_767]
    with pytest.raises(ValidationError, match="max_attempts must be between 1 and 32767"):
        check_max_attempts(attempts)


@given(st.text(max_size=300), st.sampled_from([check_kind, check_queue, check_tag]))
def test_any_text_is_kept_as_it_is_or_refused_in_one_line(
    text: str, check: Callable[[object], str]
) -> None:
    try:
        answer = check(text)
    except ValidationError as error:
        answer = str(error)
        text = "".join(answer.splitlines())
    assert answer == text
