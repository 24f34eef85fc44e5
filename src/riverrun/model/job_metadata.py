"""What may be put into a job's metadata: keys of one's own, and an output of reasonable size."""

import sys
from typing import Any

from riverrun.model.errors import ValidationError
from riverrun.model.gojson import encode_json

OUTPUT = "output"
"""The key under which River keeps what a job recorded as its output."""
MAX_OUTPUT_BYTES = 32 * 1024 * 1024
RESERVED_PREFIX = "river:"


def check_metadata(key: str, value: Any) -> None:
    """Raise `ValidationError` for a key of River's own, `PayloadError` for what does not encode."""
    if key.startswith(RESERVED_PREFIX):
        raise ValidationError(
            f"metadata key {key!r}: keys that begin with {RESERVED_PREFIX!r} are River's own; "
            f"choose another"
        )
    encode_json({key: value}, name="metadata")


def check_output(value: Any) -> None:
    """Raise `PayloadError` for what does not encode, `ValidationError` for more than 32 MiB of JSON."""
    size = len(encode_json(value, name=OUTPUT, limit=sys.maxsize).encode())
    if size > MAX_OUTPUT_BYTES:
        raise ValidationError(f"output is too large: {size} bytes (max 32 MB)")
