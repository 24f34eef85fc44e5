"""Indexes by name, and how they are rebuilt.

Names go into the text of these statements, quoted, since no database takes them as parameters.
"""

from collections.abc import Sequence

import msgspec

from riverrun.drivers.dialect import quote_identifier
from riverrun.drivers.operations.base import OperationGroup, first_values
from riverrun.drivers.statement import DEFAULT_TIMEOUT, Row, Statement, nothing


class IndexArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """An index that a concurrent rebuild made for itself, and left if it was broken off.

    `oid` is the server's number for it. `usable` says that queries use it. `building` says that a build
    may be under way on its table. `size` is in bytes.
    """

    oid: int
    name: str
    usable: bool
    building: bool
    size: int


class IndexOperations(OperationGroup):
    """Of the schema of River's tables. None of these but the first two may be in a transaction."""

    def existing(self, names: Sequence[str]) -> Statement[list[str]]:
        """Those of the names that are there."""
        return self._ask("find_indexes", first_values, names=self._list(list(names)))

    def artifacts(self, name: str) -> Statement[list[IndexArtifact]]:
        """What rebuilds of the index left behind, or have under way. PostgreSQL only."""
        return self._ask("find_index_artifacts", _read_artifacts, name=name)

    def reindex(self, name: str, *, timeout: float) -> Statement[None]:
        """Build the index anew, on PostgreSQL while everybody works on."""
        return self._about("reindex_index", name, timeout)

    def drop(self, name: str, *, timeout: float = DEFAULT_TIMEOUT) -> Statement[None]:
        """Drop the index, if it is there, while everybody works on. PostgreSQL only."""
        return self._about("drop_index", name, timeout)

    def _about(self, operation: str, index: str, timeout: float) -> Statement[None]:
        text = self._dialect.sql(operation).text.replace("/*index*/", quote_identifier(index))
        return Statement(operation, text, (), nothing, timeout)


def _read_artifacts(rows: Sequence[Row]) -> list[IndexArtifact]:
    return [
        IndexArtifact(oid=oid, name=name, usable=usable, building=building, size=size)
        for oid, name, usable, building, size in rows
    ]
