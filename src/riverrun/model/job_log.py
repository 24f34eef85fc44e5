"""What the attempts of a job logged, as it is kept in its metadata: River's `river:log`.

It is a list with the oldest first, each entry like `{"attempt": 1, "log": "all that was logged"}`.
"""

import msgspec

from riverrun.model.job import JobRow

LOG_KEY = "river:log"

Entries = list[msgspec.Raw]
"""The entries as the JSON that they are stored as: a long history is passed on and never decoded."""


def stored_log(row: JobRow) -> Entries | None:
    """What is there already; None if it is no list."""
    if row.encoded_metadata is None:
        return []
    try:
        members = msgspec.json.decode(row.encoded_metadata, type=dict[str, msgspec.Raw])
        return msgspec.json.decode(members.get(LOG_KEY, b"[]"), type=Entries)
    except (msgspec.DecodeError, RecursionError):
        return None


def appended_log(entries: Entries, attempt: int, text: str, *, max_total_bytes: int) -> Entries:
    """`entries` and a new one, without as many of the oldest as would make it too long as JSON.

    The new one is always kept.
    """
    entry = msgspec.Raw(msgspec.json.encode({"attempt": attempt, "log": text}))
    kept = [*entries, entry]
    sizes = [len(memoryview(each)) + len(",") for each in kept]
    size = sum(sizes) + len("[]") - len(",")
    first = 0
    while size > max_total_bytes and first < len(entries):
        size -= sizes[first]
        first += 1
    return kept[first:]


def storable_bytes(text: str) -> bytes:
    """UTF-8 without what no database keeps in JSON: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace")
