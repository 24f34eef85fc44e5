"""What an exception of a PostgreSQL driver means for riverrun.

asyncpg and psycopg agree on one thing, PostgreSQL's five-letter code, so nearly everything is
decided by `sqlstate`. What a driver raises by itself has none and is told by the names of its classes,
so that neither driver has to be installed or imported here.
"""

import re
from typing import Any

from riverrun.model.errors import (
    DatabaseDataError,
    DatabaseError,
    DatabaseUnavailableError,
    OutcomeUnknownError,
    RiverError,
    SchemaError,
    StatementTimeoutError,
    UniqueConflictError,
)

UNIQUE_KEY_INDEX = "river_job_unique_idx"
LOCK_NOT_AVAILABLE = "55P03"

_SESSION_ENDED = "57P01"
# 57P01 to 57P05: shut down, crashed, starting up, database dropped, session idle for too long.
_LOST_CONNECTION = frozenset({"57P01", "57P02", "57P03", "57P04", "57P05", "25P03"})
_TRY_AGAIN = {
    "25006": "the server is read-only, as a standby is",
    "40001": "it met a concurrent change",
    "40P01": "it met a deadlock",
    "53300": "the server has no connection left",
    "53400": "a limit of the server was reached",
    LOCK_NOT_AVAILABLE: "a lock could not be had in time",
    "57014": "it was cancelled or took too long",
}
_TOO_SLOW = "57014"
_MISSING = {
    "42P01": "a table",
    "42704": "a type",
    "42883": "a function",
    "3F000": "the schema",
}
_DATA_CODES = frozenset({"54000"})
_DATA_CLASS = "22"
_CONNECTION_CLASS = "08"
_MIGRATE = "run `riverrun migrate-up --database-url ...` (with --schema, if one is used)"
_CONNECT_ADVICE = {
    "28000": "check the user in the URL and the server's pg_hba.conf",
    "28P01": "check the user and the password in the URL",
    "3D000": "create the database with `createdb`, or correct the URL",
    "08P01": "the server or pooler does not take an option of the URL",
    "22023": "correct the option in the URL",
    "42704": "remove the option from the URL",
}
_UNPREPARED = frozenset({"26000", "42P05"})
_LOST_CLASSES = frozenset({"OperationalError", "ConnectionDoesNotExistError"})


def translate(error: BaseException, doing: str) -> RiverError:
    """The error of ours for a driver's; `doing` is a name like `fetch_jobs`. Raise it `from error`."""
    sqlstate = sqlstate_of(error)
    if is_lost(error):
        return DatabaseUnavailableError(
            f"{doing}: the connection to the database broke ({_first_line(error)});"
            " what was sent may or may not have happened",
            sqlstate=sqlstate,
        )
    if sqlstate is None:
        return _without_code(error, doing)
    return _by_code(error, sqlstate, doing)


def is_lost(error: BaseException) -> bool:
    """Whether this says that the connection is gone, so that nobody knows what became of a COMMIT."""
    sqlstate = sqlstate_of(error)
    if sqlstate is not None:
        return sqlstate.startswith(_CONNECTION_CLASS) or sqlstate in _LOST_CONNECTION
    return isinstance(error, OSError) or _says_closed(error)


def is_undone(error: BaseException | None) -> bool:
    """Whether nothing has happened for certain: the server ended the session, or was asked nothing.

    The server says that it ends a session only before a commit.
    """
    causes = (error, error.__cause__) if error is not None else ()
    return any(
        each is not None and (sqlstate_of(each) == _SESSION_ENDED or _was_not_sent(each))
        for each in causes
    )


def is_misled(error: BaseException) -> bool:
    """Whether the server cannot write, as one that was demoted under an open connection.

    A new connection may reach the one that took over; this one never does.
    """
    sqlstate = sqlstate_of(error)
    return sqlstate == "25006" or (sqlstate == "0A000" and "recovery" in str(error))


def sqlstate_of(error: BaseException) -> str | None:
    """PostgreSQL's code, where the error carries one; psycopg2 calls it `pgcode`."""
    sqlstate: Any = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return sqlstate if isinstance(sqlstate, str) else None


def timed_out(doing: str, seconds: float) -> StatementTimeoutError:
    """The error for a statement that had no answer in time."""
    return StatementTimeoutError(
        f"{doing} timed out after {seconds:g} s; what was sent may or may not have happened"
    )


def outcome_unknown(doing: str, sqlstate: str | None) -> OutcomeUnknownError:
    """The error for what may have been committed: its answer did not come."""
    return OutcomeUnknownError(
        f"{doing}: the server did not answer, as the connection broke or took too long;"
        " the transaction may or may not have been committed",
        sqlstate=sqlstate,
    )


def cannot_connect(error: BaseException, where: str) -> DatabaseUnavailableError:
    """The error for a connection that could not be made; `where` is a URL without its password."""
    sqlstate = sqlstate_of(error)
    return DatabaseUnavailableError(
        f"cannot connect to {where}: {_first_line(error)}; {_advice(error, sqlstate)}",
        sqlstate=sqlstate,
    )


def needs_a_human(error: DatabaseError) -> bool:
    """Whether connecting again cannot help until somebody changes the URL or the server."""
    return error.sqlstate in _CONNECT_ADVICE


def _advice(error: BaseException, sqlstate: str | None) -> str:
    if isinstance(error, TimeoutError):
        return "nobody answered in time: check the host, the port and the firewall"
    if sqlstate is None:
        return "is the server running, and are host and port right?"
    return _CONNECT_ADVICE.get(sqlstate, "try again later")


def _by_code(error: BaseException, sqlstate: str, doing: str) -> RiverError:
    text = f"{doing}: {_first_line(error)}"
    if sqlstate == "23505" and _constraint_of(error) == UNIQUE_KEY_INDEX:
        return UniqueConflictError(f"{doing}: another live job holds the unique key")
    if reason := _TRY_AGAIN.get(sqlstate):
        kind = StatementTimeoutError if sqlstate == _TOO_SLOW else DatabaseUnavailableError
        return kind(f"{text} ({reason}; try again)", sqlstate=sqlstate)
    if missing := _MISSING.get(sqlstate):
        return SchemaError(
            f"{text}; {missing} of River's is missing: {_MIGRATE}", sqlstate=sqlstate
        )
    if sqlstate == "42703":
        return SchemaError(f"{text}; River's tables are too old: {_MIGRATE}", sqlstate=sqlstate)
    if sqlstate.startswith(_DATA_CLASS) or sqlstate in _DATA_CODES:
        return DatabaseDataError(text, sqlstate=sqlstate)
    if sqlstate in _UNPREPARED:
        text += "; behind a pooler in transaction mode, open with `prepared_statements=False`"
    return DatabaseError(text, sqlstate=sqlstate)


def _without_code(error: BaseException, doing: str) -> RiverError:
    """What drivers find by themselves, before or instead of the server."""
    text = f"{doing}: {_first_line(error)}"
    if _is_named(error, "DataError") or isinstance(error, ValueError | OverflowError):
        return DatabaseDataError(text)
    return DatabaseError(text)


def _was_not_sent(error: BaseException) -> bool:
    """Whether asyncpg refused to send it, as its session has ended or is at something else."""
    return _is_named(error, "InternalClientError", "InterfaceError") and (
        str(error).startswith(("cannot switch to state", "cannot perform operation"))
    )


def _says_closed(error: BaseException) -> bool:
    if _is_named(error, *_LOST_CLASSES):
        return True
    # asyncpg's protocol in a state it cannot leave, after a cancel or a cut: the connection is unusable.
    if _is_named(error, "InternalClientError"):
        return True
    # asyncpg says "connection is closed" and "pool is closing", psycopg "the connection is closed".
    # A pooled connection that broke in our hands says "has been released back to the pool".
    return (
        _is_named(error, "InterfaceError")
        and re.search(r"clos(ed|ing)|released", str(error)) is not None
    )


def _is_named(error: BaseException, *names: str) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _constraint_of(error: BaseException) -> object:
    """The violated constraint: asyncpg has it on the error, psycopg among its diagnostics."""
    name = getattr(error, "constraint_name", None)
    return name or getattr(getattr(error, "diag", None), "constraint_name", None)


def _first_line(error: BaseException) -> str:
    """Drivers add the statement and a caret below their message; the first line is for people."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
