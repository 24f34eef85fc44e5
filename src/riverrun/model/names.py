"""The rules for names and small numbers, exactly River's: what one client inserts, all can work."""

import re

from riverrun.model.errors import ValidationError

MAX_KIND_CHARACTERS = 127
MAX_QUEUE_BYTES = 64
MAX_TAG_BYTES = 255
MAX_PRIORITY = 4
MAX_ATTEMPTS = 32_767

_kind = re.compile(r"\A\w[\w\-\[\]<>/.\u00b7:+]+\Z", re.ASCII)
_queue = re.compile(r"\A[a-z0-9]+(?:[_|\-][a-z0-9]+)*\Z", re.ASCII)
_tag = re.compile(r"\A\w[\w\-]+\w\Z", re.ASCII)


def check_kind_fits(kind: object) -> str:
    """`kind` if the tables can hold it; raises `ValidationError`."""
    name = _text(kind, "job kind")
    if not name:
        raise ValidationError("job kind cannot be empty; set the class attribute `kind`")
    if len(name) > MAX_KIND_CHARACTERS:
        raise ValidationError(f"job kind cannot be longer than 127 characters: {name!r}")
    return name


def check_kind(kind: object) -> str:
    """`kind` if River's clients let it name a kind of job; raises `ValidationError`."""
    name = check_kind_fits(kind)
    if not _kind.match(name):
        raise ValidationError(
            f"job kind is invalid: {name!r}; it needs at least two characters: an ASCII letter, "
            r"digit or underscore, then more of these or any of -[]<>/.·:+ (River's rule: "
            r"\A[\w][\w\-\[\]<>\/.·:+]+\z)"
        )
    return name


def check_queue(queue: object) -> str:
    """`queue` if it may name a queue; raises `ValidationError`."""
    name = _text(queue, "queue name")
    if not name:
        raise ValidationError("queue name cannot be empty")
    if len(name.encode(errors="surrogatepass")) > MAX_QUEUE_BYTES:
        raise ValidationError(f"queue name cannot be longer than 64 characters: {name!r}")
    if not _queue.match(name):
        raise ValidationError(
            "queue name is invalid, expected letters and numbers separated by underscores or "
            f"hyphens: {name!r} (lower case, none of them first, last or doubled)"
        )
    return name


def check_tag(tag: object) -> str:
    """`tag` if it may be a tag; raises `ValidationError`."""
    name = _text(tag, "tag")
    if len(name.encode(errors="surrogatepass")) > MAX_TAG_BYTES:
        raise ValidationError(
            f"tags should be a maximum of 255 characters long: {name[:40]!r}… is longer"
        )
    if not _tag.match(name):
        raise ValidationError(
            rf"tags should match regex \A[\w][\w\-]+[\w]\z: {name!r} does not; use three or more "
            "ASCII letters, digits, underscores and hyphens, no hyphen first or last"
        )
    return name


def check_priority(priority: object) -> int:
    """`priority` if it is 1 (first) to 4 (last); raises `ValidationError`."""
    if not _is_int(priority) or not 1 <= priority <= MAX_PRIORITY:  # type: ignore[operator]
        raise ValidationError(
            f"priority must be between 1 and 4 (1 is worked first), not {priority!r}"
        )
    return priority  # type: ignore[return-value]


def check_max_attempts(max_attempts: object) -> int:
    """`max_attempts` if the column can hold it; raises `ValidationError`."""
    if not _is_int(max_attempts) or not 1 <= max_attempts <= MAX_ATTEMPTS:  # type: ignore[operator]
        raise ValidationError(
            f"max_attempts must be between 1 and {MAX_ATTEMPTS}, not {max_attempts!r}"
        )
    return max_attempts  # type: ignore[return-value]


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{what} must be text, not {value!r}")
    return value


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
