"""What may be put into a job's metadata: keys of one's own, and an output of reasonable size."""

import sys
from typing import Any

import msgspec

from riverrun.model.errors import ValidationError
from riverrun.model.gojson import encode_json

OUTPUT = "output"
"""The key under which River keeps what a job recorded as its output."""
MAX_OUTPUT_BYTES = 32 * 1024 * 1024
RESERVED_PREFIX = "river:"


def checked_metadata(key: str, value: Any) -> Any:
    """The value as it will be read back, so that it is what it was, whatever becomes of `value`.

    Raises `ValidationError` for a key of River's own, `PayloadError` for what does not encode.
    """
    if key.startswith(RESERVED_PREFIX):
        raise ValidationError(
            f"metadata key {key!r}: keys that begin with {RESERVED_PREFIX!r} are River's own; "
            f"choose another"
        )
    members = {key: value}
    return _read_back(encode_json(members, name="metadata"), members)[key]


def checked_output(value: Any) -> Any:
    """The same for an output; `ValidationError` for more than 32 MiB of JSON."""
    text = encode_json(value, name=OUTPUT, limit=sys.maxsize)
    size = len(text.encode())
    if size > MAX_OUTPUT_BYTES:
        raise ValidationError(f"output is too large: {size} bytes (max 32 MB)")
    return _read_back(text, value)


def _read_back(text: str, value: Any) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # numbers given as `msgspec.Raw` that no float of Python can hold
        return value
