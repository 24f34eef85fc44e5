"""What SQLite's errors mean to us: each becomes an error of ours that names file and cause."""

import re
from pathlib import Path

from riverrun.drivers.sqlite_library import SQLiteLibrary
from riverrun.model.errors import (
    DatabaseDataError,
    DatabaseError,
    DatabaseUnavailableError,
    RiverError,
    SchemaError,
    StatementTimeoutError,
    UniqueConflictError,
)

_VALUE_ERRORS: tuple[type[Exception], ...] = (OverflowError, UnicodeEncodeError, TypeError)
"""Raised by both libraries, besides their own errors, for values that SQLite cannot hold."""

BUSY = frozenset({5, 15})
"""SQLITE_BUSY, SQLITE_PROTOCOL: another connection holds the lock, and the same can be tried again."""

BROKEN = frozenset({8, 10, 11, 14, 26})
"""READONLY, IOERR, CORRUPT, CANTOPEN, NOTADB: the connection is of no use any more; a new one may be."""

_INTERRUPT, _FULL, _CANTOPEN = 9, 13, 14
_UNAVAILABLE = BUSY | {8, 10, _FULL, _CANTOPEN}
_VALUE = frozenset({18, 19, 20})
"""SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH."""

_UNIQUE_KEY = re.compile(r"UNIQUE constraint failed: .*river_job(\.unique_key|_unique_idx)")
_NO_TABLE = re.compile(r"no such table: (\w+\.)?river")
_NO_COLUMN = re.compile(r"no such column: |has no column named ")
_BAD_VALUE = re.compile(r"malformed JSON|Error binding parameter")


def foreign_errors(library: SQLiteLibrary) -> tuple[type[Exception], ...]:
    """What a statement may raise, and `translated` takes."""
    return (*library.errors, *_VALUE_ERRORS)


def translated(
    error: Exception, library: SQLiteLibrary, *, what: str, path: str, waited: float
) -> RiverError:
    """The error of ours for `error`, which `what` met in the file `path` after `waited` seconds."""
    code = library.code(error)
    if code == _INTERRUPT:
        return StatementTimeoutError(f"{what} timed out after {waited:.1f} s (SQLite file {path})")
    text = f"{what}: {_cause(code, error, path=path, waited=waited)} (SQLite file {path})"
    if code in _UNAVAILABLE:
        return DatabaseUnavailableError(text)
    if _UNIQUE_KEY.search(str(error)):
        return UniqueConflictError(f"{what}: another live job holds the unique key")
    if code in _VALUE or isinstance(error, _VALUE_ERRORS) or _BAD_VALUE.search(str(error)):
        return DatabaseDataError(text)
    return _schema_error(str(error), text, path) or DatabaseError(text)


def _schema_error(cause: str, text: str, path: str) -> SchemaError | None:
    remedy = f"run `riverrun migrate-up --database-url sqlite:///{path}`"
    if _NO_TABLE.search(cause):
        return SchemaError(f"{text}: River's tables are missing; {remedy}")
    if _NO_COLUMN.search(cause):
        return SchemaError(f"{text}: River's tables are too old; {remedy}")
    return None


def _cause(code: int, error: Exception, *, path: str, waited: float) -> str:
    if code in BUSY:
        return (
            f"another connection held the write lock for {waited:.1f} seconds; "
            "is a transaction left open, perhaps your own?"
        )
    if code == _CANTOPEN:
        return f"{error}: {_why_not_open(Path(path))}"
    return str(error)


def _why_not_open(path: Path) -> str:
    if path.is_dir():
        return "it is a directory"
    if not path.parent.is_dir():
        return f"the directory {path.parent} does not exist"
    if not path.exists():
        return (
            "it does not exist, and only the default database is made unasked; "
            f"run `riverrun migrate-up --database-url sqlite:///{path}` to make it"
        )
    return "permission is missing for it or its directory"
