"""Writes JSON as River for Go writes it, so that stored args and unique keys come out the same.

msgspec writes first, and most bytes are Go's already. Where they may not be (`<`, `>`, `&`, U+2028,
U+2029, floats such as 1.0 or 1e16, times with trailing zeros) the text is put into Go's form; what
no database can hold (NUL, half a surrogate pair, NaN, infinity) is refused with its path.
Dictionaries are maps: they are written sorted by key, as Go sorts its maps. Objects keep the order
in which their fields are declared.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn, cast

import msgspec

from riverrun.model.errors import PayloadError, ValidationError

MAX_JSON_BYTES = 32 * 1024 * 1024
"""Args and metadata larger than this (32 MiB of JSON) are refused unless the limit is raised."""

Selection = Sequence[str | Sequence[str]]
"""Fields of the args: a string is one key, taken literally; a sequence is a path of keys."""

_Tree = dict[str, "_Tree | str"]

_Order = Literal["deterministic"] | None

_encoder = msgspec.json.Encoder()
_sorting_encoder = msgspec.json.Encoder(order="deterministic")
_maybe_foreign = re.compile(rb"[<>&\xe2\\]|(?:\A|[:,\[])(?:null\b|-?\d+[.e])")
# The same in an object. Since it begins with a set of characters, the search is twice as fast.
_maybe_foreign_within = re.compile(rb"[<>&\xe2\\:,\[](?:(?<=[<>&\xe2\\])|null\b|-?\d+[.e])")
_string_or_number = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?\d[\d.eE+-]*')
_nul_escape = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_padded_time = re.compile(r':\d\d\.\d*0(?:Z|[+-]\d\d:\d\d)"')
_foreign_number = re.compile(r"(?:\A|[:,\[])-?\d+(?:\.0(?!\d)|(?:\.\d+)?e)")
_html = re.compile("[<>&\u2028\u2029]")
_null = re.compile(r"(?:\A|[:,\[])null(?:[,}\]]|\Z)")
_float_exponent = re.compile(r"e([+-])0*(\d)")
_plain_key = re.compile(r'[^"\\\x00-\x1f\x80-\U0010ffff]*\Z')
_blank = re.compile(r"[ \t\n\r]*")
_nothing = re.compile(r"\s*(?:\[\s*\]\s*)?\Z")
_html_escapes = str.maketrans(
    {char: f"\\u{ord(char):04x}" for char in ("<", ">", "&", "\u2028", "\u2029")}
)
_MAX_PLAIN_FLOAT = 1e21
_MIN_PLAIN_FLOAT = 1e-6


def encode_json(value: object, *, name: str, limit: int = MAX_JSON_BYTES, sort: bool = True) -> str:
    """The JSON that Go would write for `value`; raises `PayloadError` with `name` and the path.

    Text given as `msgspec.Raw` keeps its numbers digit by digit, however large. Without `sort`,
    dictionaries keep their order: for objects that msgspec takes for dictionaries.
    """
    order: _Order = "deterministic" if sort else None
    encoded = _encode(value, name, order)
    if len(encoded) > limit:
        raise PayloadError(
            f"{name}: {len(encoded)} bytes of JSON are more than the limit of {limit}; store large "
            f"data elsewhere and pass a reference, or raise the limit"
        )
    if _maybe_foreign.search(encoded) is None:
        return encoded.decode()
    return _go_form(value, encoded.decode(), name, order)


def encode_lines(values: Sequence[object]) -> bytes | None:
    """`encode_args` of objects, a line each; None if that may fail or take more than msgspec."""
    try:
        lines = _sorting_encoder.encode_lines(values)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return None
    plain = len(lines) <= MAX_JSON_BYTES and _maybe_foreign_within.search(lines) is None
    return lines if plain else None


def encode_args(
    value: object, *, name: str = "args", limit: int = MAX_JSON_BYTES, sort: bool = True
) -> str:
    """The same for args and metadata, which must be JSON objects."""
    text = encode_json(value, name=name, limit=limit, sort=sort)
    if text[0] != "{":
        raise PayloadError(f"{name}: a {type(value).__name__} does not encode to a JSON object")
    return text


def encode_metadata(value: Mapping[str, object] | str) -> str | None:
    """Metadata as JSON, from a mapping or from text that is a JSON object; None if it is empty."""
    if isinstance(value, str):
        text = check_object_text(value, name="metadata")
    elif isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        text = encode_args(dict(value), name="metadata")
    else:
        raise PayloadError(f"metadata must be a JSON object, not a {type(value).__name__}")
    return None if text == "{}" else text


def check_object_text(text: str, *, name: str, limit: int = MAX_JSON_BYTES) -> str:
    """`text`, freed of outer blanks, if it is a JSON object that any database can hold."""
    try:
        encoded = text.encode()
        members = msgspec.json.decode(encoded, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise PayloadError(f"{name} must be a JSON object: {error}") from error
    if len(encoded) > limit:
        raise PayloadError(f"{name}: {len(encoded)} bytes are more than the limit of {limit}")
    if _nul_escape.search(text):
        raise PayloadError(f"{name} holds the character NUL, which databases cannot store")
    return text.strip(" \t\n\r") if members else "{}"


def canonical_args(text: str, selection: Selection | None = None) -> str:
    """What of the stored args goes into a unique key: all of it, or the selected fields.

    Keys are sorted on the first level; values are copied as they stand, nested order untouched.
    Selected fields that are missing are left out; if all are, the result is empty.
    """
    members = _first_wins(_members(text))
    if selection is None:
        return _write_tree({key: members[key] for key in sorted(members)})
    tree: _Tree = {}
    for path in check_selection(selection):
        value = _find(members, path)
        if value is not None:
            _plant(tree, path, value)
    return _write_tree(tree) if tree else ""


def check_selection(selection: Selection) -> list[tuple[str, ...]]:
    """The selected paths, sorted; raises `ValidationError` if one is empty or leads into another."""
    if isinstance(selection, str | bytes):
        raise ValidationError(f"by_args: give a list of fields, such as [{selection!r}]")
    paths = sorted(
        {_as_path(entry) for entry in selection}, key=lambda path: (".".join(path), path)
    )
    for path in paths:
        for other in paths:
            if path != other and other[: len(path)] == path:
                raise ValidationError(
                    f"by_args: {list(path)} already contains {list(other)}; select one of the two"
                )
    if not paths:
        raise ValidationError(
            "by_args: an empty list selects nothing; give fields, or True for all"
        )
    return paths


def go_float(number: float) -> str:
    """A finite float as Go's JSON encoder writes it."""
    magnitude = abs(number)
    if magnitude and not _MIN_PLAIN_FLOAT <= magnitude < _MAX_PLAIN_FLOAT:
        return _float_exponent.sub(r"e\1\2", repr(number).removesuffix(".0"))
    text = repr(number)
    if "e" in text:
        return _without_exponent(text)
    return text.removesuffix(".0")


def _encode(value: object, name: str, order: _Order) -> bytes:
    try:
        try:
            return (_encoder if order is None else _sorting_encoder).encode(value)
        except TypeError:  # also keys that are not strings, which Go sorts as text
            return _encoder.encode(msgspec.to_builtins(value, str_keys=True, order=order))
    except UnicodeEncodeError as error:
        _refuse_unstorable(value, name)
        raise PayloadError(f"{name}: half of a surrogate pair cannot be stored") from error
    except RecursionError as error:
        raise PayloadError(f"{name}: nested too deeply, or contains itself") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise PayloadError(f"{name} cannot be encoded as JSON: {error}") from error


def _go_form(value: object, text: str, name: str, order: _Order) -> str:
    if "null" in text and _null.search(text) and _holds_non_finite(value):
        _refuse_unstorable(value, name)
    if "\\u0000" in text and _nul_escape.search(text):
        _refuse_unstorable(value, name)
        raise PayloadError(f"{name} holds the character NUL, which databases cannot store")
    if _padded_time.search(text):
        text = _with_go_times(value, text, order)
    if _foreign_number.search(text):
        text = _string_or_number.sub(_go_token, text)
    return text.translate(_html_escapes) if _html.search(text) else text


def _holds_non_finite(value: object) -> bool:
    """Whether a `null` may stand for NaN or infinity, which msgspec writes without a word."""
    try:
        return _is_non_finite(msgspec.to_builtins(value, str_keys=True))
    except TypeError:  # raw JSON inside: the slow search knows better
        return True


def _is_non_finite(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        value = cast("dict[str, object]", value).values()
    elif not isinstance(value, list | tuple):
        return False
    return any(map(_is_non_finite, cast("Iterable[object]", value)))


def _go_token(match: re.Match[str]) -> str:
    """One string or number; only a number just as msgspec prints it may be printed otherwise."""
    token = match[0]
    if token[0] == '"' or token.lstrip("-").isdecimal():
        return token
    number = float(token)
    ours = math.isfinite(number) and _encoder.encode(number).decode() == token
    return go_float(number) if ours else token


def _with_go_times(value: object, text: str, order: _Order) -> str:
    try:
        builtins = msgspec.to_builtins(value, builtin_types=(datetime,), str_keys=True, order=order)
    except TypeError:  # raw JSON inside: its author wrote the times as they are meant
        return text
    return _encoder.encode(_replace_times(builtins)).decode()


def _replace_times(value: Any) -> Any:
    match value:
        case dict():
            entries = cast("dict[str, object]", value).items()
            return {key: _replace_times(member) for key, member in entries}
        case list() | tuple():
            return [_replace_times(member) for member in cast("Iterable[object]", value)]
        case datetime():
            return go_time(value)
        case _:
            return value


def go_time(value: datetime) -> str:
    """RFC 3339 as Go writes it: no zeros at the end of a fraction, `Z` for UTC."""
    text = value.isoformat()
    if value.microsecond:
        head, _, tail = text.partition(".")
        text = f"{head}.{tail[:6].rstrip('0')}{tail[6:]}"
    return text.removesuffix("+00:00") + "Z" if value.utcoffset() == UTC.utcoffset(None) else text


def _without_exponent(text: str) -> str:
    """`text` such as 1.5e+16 or 1e-05 written out."""
    sign = "-" if text[0] == "-" else ""
    mantissa, _, exponent = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits, point = whole + fraction, len(whole) + int(exponent)
    if point > 0:
        return sign + digits.ljust(point, "0")
    return f"{sign}0.{'0' * -point}{digits}"


def _refuse_unstorable(value: object, name: str) -> None:
    """Raise `PayloadError` with its path if a value in `value` cannot be stored as JSON."""
    pending = [("$", value)]
    while pending:
        path, current = pending.pop()
        if isinstance(current, str):
            _check_text(current, path, name)
        elif isinstance(current, float):
            if not math.isfinite(current):
                _refuse(name, path, f"{current} is no JSON number; use None, or text")
        else:
            pending.extend(_children(path, current, name))


def _check_text(text: str, path: str, name: str) -> None:
    if "\0" in text:
        _refuse(name, path, "the character NUL cannot be stored; remove it")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        _refuse(name, path, "half of a surrogate pair cannot be stored; remove it")


def _refuse(name: str, path: str, reason: str) -> NoReturn:
    raise PayloadError(f"{name} at {path}: {reason}")


def _children(path: str, value: object, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, member in cast("Mapping[object, object]", value).items():
            if isinstance(key, str):
                _check_text(key, f"a key of {path}", name)
            yield f"{path}.{key}", member
    elif isinstance(value, list | tuple | set | frozenset):
        for index, member in enumerate(cast("Iterable[object]", value)):
            yield f"{path}[{index}]", member
    else:
        for field in _field_names(value):
            yield f"{path}.{field}", getattr(value, field, None)


def _field_names(value: object) -> Iterable[str]:
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if is_dataclass(value):
        return [field.name for field in fields(value)]
    return [attribute.name for attribute in getattr(type(value), "__attrs_attrs__", ())]


_read_value = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


def _members(text: str) -> list[tuple[str, str]]:
    """Each key of an object with the text of its value, as they stand; [] counts as empty."""
    position = _after_blank(text, 0)
    if text[position : position + 1] != "{":
        if _nothing.match(text):
            return []
        raise PayloadError("args must be a JSON object to be unique by args")
    try:
        return list(_scan_members(text, position + 1))
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"args are no valid JSON: {error}") from error


def _scan_members(text: str, position: int) -> Iterator[tuple[str, str]]:
    position = _after_blank(text, position)
    while text[position : position + 1] != "}":
        position = _after_blank(text, position + text.startswith(",", position))
        key, position = _read_value(text, position)
        start = _after_blank(text, _after_blank(text, position) + 1)
        _, end = _read_value(text, start)
        yield key, text[start:end]
        position = _after_blank(text, end)


def _after_blank(text: str, position: int) -> int:
    match = _blank.match(text, position)
    return match.end() if match else position


def _first_wins(members: Iterable[tuple[str, str]]) -> dict[str, str]:
    first: dict[str, str] = {}
    for key, value in members:
        first.setdefault(key, value)
    return first


def _as_path(entry: str | Sequence[str]) -> tuple[str, ...]:
    path = (entry,) if isinstance(entry, str) else tuple(entry)
    if not path or not all(isinstance(part, str) for part in path):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError(f"by_args: {entry!r} is neither a key nor a path of keys")
    return path


def _find(members: Mapping[str, str], path: Sequence[str]) -> str | None:
    """The text of the value that `path` leads to; None if it leads nowhere."""
    value = members.get(path[0])
    if value is None or len(path) == 1:
        return value
    return _find(_first_wins(_members(value)), path[1:]) if value.startswith("{") else None


def _plant(tree: _Tree, path: Sequence[str], value: str) -> None:
    for part in path[:-1]:
        tree = cast("_Tree", tree.setdefault(part, {}))
    tree[path[-1]] = value


def _write_tree(tree: Mapping[str, "_Tree | str"]) -> str:
    members = (
        f"{_write_key(key)}:{value if isinstance(value, str) else _write_tree(value)}"
        for key, value in tree.items()
    )
    return "{" + ",".join(members) + "}"


def _write_key(key: str) -> str:
    """A plain key goes in as it is, even with `<` and `&`; Go encodes only the others."""
    if _plain_key.match(key):
        return f'"{key}"'
    return json_text(key)


def json_text(text: str) -> str:
    """One string as Go writes it in JSON."""
    return _encoder.encode(text).decode().translate(_html_escapes)
