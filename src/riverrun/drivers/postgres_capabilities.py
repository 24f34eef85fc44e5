"""Finds out, once for each `Database`, what kind of PostgreSQL is at the other end.

    server                        a duplicate shows in       notifications
    PostgreSQL before 18          `xmax <> 0`                yes
    PostgreSQL 18 and newer       `old.id is not null`       yes
    YugabyteDB                    a nonce in the metadata    if `yb_enable_listen_notify` is on

A database of ours asks when it is opened, in place of a ping. A script on a connection that was lent to
a database never opened asks first (`ask_server`). See River's changelog for 0.48 (#1347).
"""

import re
from collections.abc import Sequence

from riverrun.drivers.dialect import Dialect, Duplicates, ServerFacts
from riverrun.drivers.statement import Row, Script, Statement

_YUGABYTE = re.compile("-yb|yugabyte", re.IGNORECASE)
_FIRST_WITH_OLD = 180000


def get_server(dialect: Dialect) -> Statement[None]:
    """The statement that finds out; reading its answer notes it in `dialect.server`."""

    def note(rows: Sequence[Row]) -> None:
        note_server(dialect.server, *rows[0])

    return Statement("get_server", dialect.sql("get_server").text, (), note)


def ask_server(dialect: Dialect) -> Script[None]:
    """Ask only where it matters and nobody has asked before."""
    if dialect.is_postgres and not dialect.server.known:
        yield get_server(dialect)


def note_server(
    server: ServerFacts, version: str | None, yb_listens: str | None, version_number: str | None
) -> None:
    """Note what follows from the three things that are asked; what is missing says plain PostgreSQL."""
    is_yugabyte = _YUGABYTE.search(version or "") is not None
    server.duplicates = _duplicates(is_yugabyte=is_yugabyte, version=int(version_number or 0))
    server.notifies = not is_yugabyte or (yb_listens or "").lower() == "on"
    server.known = True


def _duplicates(*, is_yugabyte: bool, version: int) -> Duplicates:
    if is_yugabyte:
        return "nonce"
    return "old" if version >= _FIRST_WITH_OLD else "xmax"
