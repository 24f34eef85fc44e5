"""What can be better about how PostgreSQL keeps the jobs, judged from what it says of itself.

A job's row is written three times: inserted, claimed, ended. Each leaves a dead version behind, in the
table and in all its indexes. So it pays to write the two GIN indexes in larger portions, which was
measured (4 to 25 % more jobs a second), and to remove dead rows early and without pauses: these values
are the usual ones for tables that are rewritten all the time, and what they gain depends on the load.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from riverrun.drivers.operations.storage import (
    JobStatistics,
    Relation,
    RelationKind,
    StorageOperations,
    VacuumHolder,
)

PENDING_LIST = 64 * 1024
"""In kB, as the server counts it."""
FEW_DEAD = 10_000
TIMES_LIVE = 2
"""Dead rows are worth a word when they are more than few, and more than so many for each live one."""

SETTINGS = (
    "autovacuum",
    "track_counts",
    "synchronous_commit",
    "gin_pending_list_limit",
    "autovacuum_vacuum_scale_factor",
    "autovacuum_vacuum_insert_scale_factor",
    "autovacuum_vacuum_cost_delay",
    "vacuum_cost_delay",
)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could be better, and the SQL that makes it so.

    What is to be done: `apply` is done by `riverrun doctor --apply`, `by hand` is for whoever runs the
    server, and `note` is only good to know. `value` is the suggestion as SQL has it.
    """

    name: str
    on: str
    present: str
    suggested: str
    why: str
    sql: str = ""
    todo: Literal["apply", "by hand", "note"] = "by hand"
    value: str = ""
    kind: RelationKind | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a database says of itself."""

    relations: list[Relation]
    settings: dict[str, str]
    statistics: JobStatistics
    holders: list[VacuumHolder]


class _Setting(msgspec.Struct, frozen=True):
    """A storage parameter, and what it should be; a number may be less, but the pending list's more."""

    name: str
    wanted: str
    why: str


_PENDING = _Setting(
    "gin_pending_list_limit",
    str(PENDING_LIST),
    "each job writes the index three times; larger portions gave 4 to 25 % more jobs a second, for"
    " searches by args or metadata that read a longer list",
)
_FASTUPDATE = _Setting(
    "fastupdate", "on", "without a pending list every write goes into the index at once"
)
_ENABLED = _Setting(
    "autovacuum_enabled", "on", "nothing else removes the dead rows of the table by itself"
)
_TABLE_SETTINGS = (
    _Setting(
        "autovacuum_vacuum_scale_factor",
        "0.01",
        "each job leaves dead rows, which slow claims down until a vacuum removes them; by default that"
        " waits until they are a fifth of the table, kept jobs included",
    ),
    _Setting(
        "autovacuum_vacuum_insert_scale_factor",
        "0.05",
        "a vacuum also empties the pending lists of the GIN indexes, which every search by args or"
        " metadata reads as a whole",
    ),
    _Setting(
        "autovacuum_vacuum_cost_delay",
        "0",
        "a vacuum that pauses after every few pages is overtaken by a busy queue",
    ),
)


def judge(facts: Facts, operations: StorageOperations) -> list[Finding]:
    """All that could be better, settings first."""
    rules: tuple[Callable[[Facts, StorageOperations], Iterator[Finding]], ...] = (
        _pending_lists,
        _table_settings,
        _server_settings,
        _invalid_indexes,
        _dead_rows,
        _vacuum_holders,
        _notes,
    )
    return [finding for rule in rules for finding in rule(facts, operations)]


def _pending_lists(facts: Facts, operations: StorageOperations) -> Iterator[Finding]:
    for index in facts.relations:
        if index.method != "gin":
            continue
        if _is_off(index.options.get("fastupdate", "on")):
            yield _setting(operations, index, _FASTUPDATE, "off")
        present = int(_effective(facts, index, _PENDING.name))
        if present < PENDING_LIST:
            finding = _setting(operations, index, _PENDING, str(present))
            sizes = {"present": _size(present), "suggested": _size(PENDING_LIST)}
            yield msgspec.structs.replace(finding, **sizes)


def _table_settings(facts: Facts, operations: StorageOperations) -> Iterator[Finding]:
    table = next(relation for relation in facts.relations if relation.kind == "table")
    if _is_off(table.options.get("autovacuum_enabled", "on")):
        yield _setting(operations, table, _ENABLED, "off")
    for setting in _TABLE_SETTINGS:
        present = _effective(facts, table, setting.name)
        if float(present) > float(setting.wanted):
            yield _setting(operations, table, setting, present)


def _setting(
    operations: StorageOperations, on: Relation, setting: _Setting, present: str
) -> Finding:
    return Finding(
        name=setting.name,
        on=on.name,
        present=present,
        suggested=setting.wanted,
        why=setting.why,
        sql=operations.alter_text(on.kind, on.name, {setting.name: setting.wanted}),
        todo="apply",
        value=setting.wanted,
        kind=on.kind,
    )


def _server_settings(facts: Facts, _operations: StorageOperations) -> Iterator[Finding]:
    for name in ("autovacuum", "track_counts"):
        if _is_off(facts.settings.get(name, "on")):
            yield Finding(
                name=name,
                on="server",
                present="off",
                suggested="on",
                why="without it nothing removes dead rows by itself, whatever the table says",
                sql=f"alter system set {name} = on; select pg_reload_conf()",
            )


def _invalid_indexes(facts: Facts, operations: StorageOperations) -> Iterator[Finding]:
    for index in facts.relations:
        if index.valid or index.building:
            continue
        is_rest = index.name.rstrip("0123456789").endswith(("_ccnew", "_ccold"))
        command = "drop index concurrently" if is_rest else "reindex index concurrently"
        yield Finding(
            name="invalid index",
            on=index.name,
            present="invalid",
            suggested="none" if is_rest else "valid",
            why="a build that was broken off left it: every write goes into it and no query uses it",
            sql=f"{command} {operations.qualified(index.name)}",
        )


def _dead_rows(facts: Facts, operations: StorageOperations) -> Iterator[Finding]:
    live, dead = facts.statistics.live, facts.statistics.dead
    if dead > FEW_DEAD and dead > TIMES_LIVE * live:
        yield Finding(
            name="dead rows",
            on="river_job",
            present=f"{dead} dead, {live} live",
            suggested="few",
            why="claims read through dead rows, so vacuum is behind or held back",
            sql=f"vacuum (analyze) {operations.qualified('river_job')}",
        )


def _vacuum_holders(facts: Facts, _operations: StorageOperations) -> Iterator[Finding]:
    for holder in facts.holders:
        age = "" if holder.seconds is None else f", {holder.seconds:.0f} s old"
        yield Finding(
            name=holder.kind,
            on=holder.name,
            present=f"holds back vacuum{age}",
            suggested="ended",
            why="rows that died after it began cannot be removed while it is there",
            sql=_end_of(holder),
        )


def _end_of(holder: VacuumHolder) -> str:
    quoted = "'" + holder.name.replace("'", "''") + "'"
    match holder.kind:
        case "transaction":
            return f"select pg_terminate_backend({holder.name})"
        case "prepared transaction":
            return f"rollback prepared {quoted}"
        case "replication slot":
            return f"select pg_drop_replication_slot({quoted})"


def _notes(facts: Facts, _operations: StorageOperations) -> Iterator[Finding]:
    if not facts.statistics.sees_all:
        yield Finding(
            name="permissions",
            on="this user",
            present="sees only its own transactions",
            suggested="pg_read_all_stats",
            why="a transaction of another user that holds back vacuum is not named here; a member of"
            " pg_read_all_stats sees all of them",
            todo="note",
        )
    if not _is_off(facts.settings.get("synchronous_commit", "on")):
        yield Finding(
            name="synchronous_commit",
            on="server",
            present=facts.settings.get("synchronous_commit", "on"),
            suggested="as it is",
            why="off gave 45 % more jobs a second where 1 to 10 are written at once, and none from 100"
            " up; a crash then loses what was committed last, inserted jobs too",
            sql="alter role current_user set synchronous_commit = off",
            todo="note",
        )


def _effective(facts: Facts, relation: Relation, name: str) -> str:
    """The storage parameter, else the server's setting, else what asks for no change."""
    value = relation.options.get(name, facts.settings.get(name, _NOTHING_TO_SAY.get(name, "0")))
    if name == "autovacuum_vacuum_cost_delay" and float(value) < 0:
        return facts.settings.get("vacuum_cost_delay", "0")
    return value


_NOTHING_TO_SAY = {"gin_pending_list_limit": str(PENDING_LIST)}
"""For servers without a setting, as others than PostgreSQL may be."""


def _is_off(value: str) -> bool:
    return value.lower() in {"off", "false", "no", "0", "f", "n"}


def _size(kilobytes: int) -> str:
    whole, rest = divmod(kilobytes, 1024)
    return f"{kilobytes} kB" if rest else f"{whole} MB"
