"""PostgreSQL's `@>` between JSON values, for SQLite, which has nothing like it.

What must be contained is known when the statement is built, so it is taken apart into conditions: an
object contains another if it has its keys, with values that contain the other's; an array contains
another if for each of the other's elements it has one that contains it; the rest must be equal and of
one type. So River's filters for metadata and tags mean the same on both databases.

`case` alone decides what SQLite evaluates first, so that nothing is read as JSON that is none.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from riverrun.drivers.dialect import Bound

Pieces: TypeAlias = list[str | Bound]

_INTEGERS = range(-(2**63), 2**63)


def json_contains(column: str, value: object) -> Pieces:
    """True for rows whose `column` holds JSON that contains `value`."""
    whole = _contains(f"json_type({column})", column, value, depth=0)
    return _if_valid(column, whole)


def json_overlaps(column: str, values: Sequence[str]) -> Pieces:
    """True for rows whose `column` holds a JSON array with any of the texts `values`."""
    found: Pieces = [
        f"exists (select 1 from json_each({column}) as e0 where e0.type = 'text' and e0.value ",  # noqa: S608 - a column's name
        *in_list(values),
        ")",
    ]
    return _if_valid(column, found)


def json_list(values: Sequence[Any]) -> Bound:
    """A list as a parameter, as JSON text for `json_each`."""
    return Bound(json.dumps(values))


def in_list(values: Sequence[Any]) -> Pieces:
    """What stands behind an expression to say that it is one of `values`."""
    return ["in (select value from json_each(", json_list(values), "))"]


def _if_valid(column: str, condition: Pieces) -> Pieces:
    """`json_valid(x, 10)`: JSON text, or JSONB that is sound all through."""
    return [f"case when json_valid({column}, 10) then ", *condition, " else false end"]


def _contains(type_: str, json_value: str, wanted: object, *, depth: int) -> Pieces:
    """Whether what SQLite calls `json_value`, of the type `type_`, contains `wanted`."""
    match wanted:
        case Mapping():
            members = cast("Mapping[str, object]", wanted)
            found = [_member(json_value, key, member, depth) for key, member in members.items()]
            return _if_type(type_, "object", found)
        case list():
            elements = cast("list[object]", wanted)
            found = [_element(json_value, element, depth) for element in elements]
            return _if_type(type_, "array", found)
        case None | bool():
            return [f"{type_} = ", Bound({None: "null", True: "true", False: "false"}[wanted])]
        case str():
            return [f"{type_} = 'text' and {json_value} = ", Bound(wanted)]
        case _:
            return [f"{type_} in ('integer', 'real') and {json_value} = ", _number(wanted)]


def _if_type(type_: str, name: str, conditions: Sequence[Pieces]) -> Pieces:
    every: Pieces = ["true"]
    for condition in conditions:
        every += [" and ", *condition]
    return [f"case {type_} when '{name}' then ", *every, " else false end"]


def _member(json_value: str, key: str, wanted: object, depth: int) -> Pieces:
    return _exists(json_value, wanted, depth, lambda name: [f"{name}.key = ", Bound(key), " and "])


def _element(json_value: str, wanted: object, depth: int) -> Pieces:
    return _exists(json_value, wanted, depth, lambda _name: [])


def _exists(json_value: str, wanted: object, depth: int, which: Callable[[str], Pieces]) -> Pieces:
    name = f"e{depth}"
    return [
        f"exists (select 1 from json_each({json_value}) as {name} where ",  # noqa: S608 - a name of ours
        *which(name),
        *_contains(f"{name}.type", f"{name}.value", wanted, depth=depth + 1),
        ")",
    ]


def _number(wanted: object) -> Bound:
    """Integers beyond 64 bits are floats to SQLite."""
    if isinstance(wanted, int) and wanted not in _INTEGERS:
        return Bound(float(wanted))
    return Bound(wanted)
