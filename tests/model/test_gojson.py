"""Args come out byte for byte as River for Go writes them, or are refused with their path."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.model.errors import PayloadError, ValidationError
from riverrun.model.gojson import (
    canonical_args,
    check_object_text,
    encode_args,
    encode_json,
    encode_metadata,
    go_float,
)

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
EXACT_FLOATS = st.floats(-(2.0**53), 2.0**53)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | EXACT_FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@dataclass
class Line:
    b: Any
    a: Any = None


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-1.0, "-1"),
        (1.25, "1.25"),
        (0.1, "0.1"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (1e20, "100000000000000000000"),
        (1.2345678901234568e17, "123456789012345680"),
        (999999999999999900000.0, "999999999999999900000"),
        (1e21, "1e+21"),
        (1e100, "1e+100"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (1e-5, "0.00001"),
        (-1.5e-5, "-0.000015"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.5e-9, "-1.5e-9"),
        (5e-324, "5e-324"),
    ],
)
def test_floats_are_written_as_go_writes_them(number: float, text: str) -> None:
    assert go_float(number) == text
    assert encode_args({"x": number}) == f'{{"x":{text}}}'
    assert encode_args({"x": [number, number]}) == f'{{"x":[{text},{text}]}}'


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives_the_way_to_go_and_back(number: float) -> None:
    assert float(go_float(number)) == number


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("<a>&", r'"\u003ca\u003e\u0026"'),
        ("\u2028\u2029", r'"\u2028\u2029"'),
        ("é😀\x7f", '"é😀\x7f"'),
        ("\b\f\n\r\t\x01\x1f", r'"\b\f\n\r\t\u0001\u001f"'),
        ('say "1.0" \\ / 1e16,null', r'"say \"1.0\" \\ / 1e16,null"'),
        (":1.0,[2.0]", '":1.0,[2.0]"'),
        (r"\u0000", r'"\\u0000"'),
    ],
)
def test_texts_are_escaped_as_go_escapes_them(text: str, encoded: str) -> None:
    assert encode_args({"x": text, "f": 1.5}) == f'{{"f":1.5,"x":{encoded}}}'


@given(VALUES)
def test_whatever_is_written_reads_back_the_same(value: Any) -> None:
    assert msgspec.json.decode(encode_args({"x": value})) == {"x": value}


def test_fields_keep_their_order_and_dictionaries_are_sorted() -> None:
    assert encode_args(Line(b={"z": 1, "a": 2})) == '{"b":{"a":2,"z":1},"a":null}'
    assert encode_args(Line(b={2: 1, 10: 2})) == '{"b":{"10":2,"2":1},"a":null}'


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 120000, UTC), "2026-01-02T03:04:05.12Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 123456, UTC), "2026-01-02T03:04:05.123456Z"),
        (
            datetime(2026, 1, 2, 3, 4, 5, 500000, timezone(timedelta(hours=5, minutes=30))),
            "2026-01-02T03:04:05.5+05:30",
        ),
    ],
)
def test_times_are_written_without_trailing_zeros(time: datetime, text: str) -> None:
    assert encode_args(Line(b=[time])) == f'{{"b":["{text}"],"a":null}}'


def test_a_text_that_looks_like_a_time_is_left_alone() -> None:
    text = "2026-01-02T03:04:05.500000Z"
    assert encode_args({"x": text}) == f'{{"x":"{text}"}}'


@pytest.mark.parametrize(
    "digits", ["1" * 30, "1e400", "0.1234567890123456789012345678901234", "1.10"]
)
def test_raw_numbers_keep_every_digit(digits: str) -> None:
    assert encode_args({"x": msgspec.Raw(digits.encode()), "y": 1.0}) == f'{{"x":{digits},"y":1}}'


def test_integers_of_any_size_are_kept() -> None:
    assert encode_args({"x": 2**70, "y": -(2**63)}) == f'{{"x":{2**70},"y":{-(2**63)}}}'


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [{"b": math.nan}]}, r"\$\.a\[0\]\.b: nan"),
        (Line(b=1, a=math.inf), r"\$\.a: inf"),
        ({"a": ["x", "y\0"]}, r"\$\.a\[1\]: the character NUL"),
        ({"a": {"k\0": 1}}, r"a key of \$\.a: the character NUL"),
        ({"a": "\ud800"}, r"\$\.a: half of a surrogate"),
        (Line(b={"c": "\udfff"}), r"\$\.b\.c: half of a surrogate"),
    ],
)
def test_what_no_database_can_hold_is_refused_with_its_path(value: Any, path: str) -> None:
    with pytest.raises(PayloadError, match=f"args at {path}"):
        encode_args(value)


@pytest.mark.parametrize("value", [[], None, "x", 1.0])
def test_args_must_be_objects_but_an_output_may_be_anything(value: Any) -> None:
    assert encode_json(value, name="output")
    with pytest.raises(PayloadError, match="does not encode to a JSON object"):
        encode_args(value)


def test_args_that_contain_themselves_are_refused() -> None:
    value: dict[str, Any] = {}
    value["self"] = value
    with pytest.raises(PayloadError, match="contains itself"):
        encode_args(value)


def test_an_object_that_is_no_json_is_refused() -> None:
    with pytest.raises(PayloadError, match="args cannot be encoded as JSON"):
        encode_args({"x": object()})


def test_args_over_the_limit_are_refused_unless_it_is_raised() -> None:
    value = {"x": "y" * 100}
    with pytest.raises(PayloadError, match="108 bytes of JSON are more than the limit of 50"):
        encode_args(value, limit=50)
    assert len(encode_args(value, limit=108)) == 108


def test_empty_metadata_is_not_sent() -> None:
    assert encode_metadata({}) is None
    assert encode_metadata(" {} ") is None


def test_metadata_may_be_json_text_and_is_kept_as_it_is() -> None:
    text = '{"n": 1e400, "d": 1.10}'
    assert encode_metadata(text) == text


@pytest.mark.parametrize("text", ["[]", "1", "{", '{"a":x}', r'{"a":"\ud800"}', r'{"a":"\u0000"}'])
def test_metadata_text_that_is_no_storable_object_is_refused(text: str) -> None:
    with pytest.raises(PayloadError, match="metadata"):
        encode_metadata(text)


def test_metadata_of_another_type_is_refused() -> None:
    with pytest.raises(PayloadError, match="metadata must be a JSON object, not a list"):
        encode_metadata(["a"])  # type: ignore[arg-type]


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert check_object_text(r'{"a":"\\u0000"}', name="metadata") == r'{"a":"\\u0000"}'


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", "{}"),
        ("{}", "{}"),
        ("[ ]", "{}"),
        ('{"b": {"z":1, "a":2} , "a":[3, 1]}', '{"a":[3, 1],"b":{"z":1, "a":2}}'),
        ('{"a":1,"a":2,"b":3}', '{"a":1,"b":3}'),
        (r'{"\u00e9":1,"a\u003cb":2,"q\"":3}', r'{"a<b":2,"q\"":3,"é":1}'),
        ('{"n":1e400,"m":123456789012345678901234567890}', None),
    ],
)
def test_canonical_args_sort_the_first_level_and_copy_the_rest(
    text: str, canonical: str | None
) -> None:
    expected = '{"m":123456789012345678901234567890,"n":1e400}' if canonical is None else canonical
    assert canonical_args(text) == expected


@pytest.mark.parametrize("text", ["[1]", "null", "1", '"x"', "{", '{"a":}', '{"a" 1'])
def test_args_that_are_no_object_cannot_be_unique_by_args(text: str) -> None:
    with pytest.raises(PayloadError, match="args"):
        canonical_args(text)


@pytest.mark.parametrize(
    ("selection", "canonical"),
    [
        (["user.id"], '{"user.id":1}'),
        ([("user", "id")], '{"user":{"id":2}}'),
        ([["user", "id"], "user.id"], '{"user":{"id":2},"user.id":1}'),
        (["gone", ("user", "gone"), ("list", "0")], ""),
        (["none", "gone"], '{"none":null}'),
        ([("user", "b"), ("user-x",), ("user", "id")], '{"user-x":4,"user":{"b":3,"id":2}}'),
    ],
)
def test_selected_fields_are_taken_by_their_literal_names(selection: Any, canonical: str) -> None:
    text = '{"user.id":1,"user":{"id":2,"b":3},"user-x":4,"list":[5],"none":null}'
    assert canonical_args(text, selection) == canonical


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        (["user", ("user", "id")], "already contains"),
        ([], "empty list"),
        ([()], "neither a key nor a path"),
        ([("a", 1)], "neither a key nor a path"),
        ("user", r"such as \['user'\]"),
    ],
)
def test_a_selection_that_cannot_be_meant_is_refused(selection: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        canonical_args("{}", selection)


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (1e16, "10000000000000000"), (None, "null")]
)
def test_a_bare_value_is_written_as_go_writes_it(value: object, text: str) -> None:
    assert encode_json(value, name="output") == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_bare_number_that_json_does_not_have_is_refused(value: float) -> None:
    with pytest.raises(PayloadError, match="no JSON number"):
        encode_json(value, name="output")
