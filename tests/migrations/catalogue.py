"""What a database says it holds, as sorted lines that can be compared with tables written by hand.

A catalogue maps a heading, such as `river_job columns`, to lines. Lines keep the order of the
database where the order means something (columns, labels of an enum) and are sorted elsewhere.
"""

import re
from typing import Any, LiteralString

import apsw
import psycopg

Catalogue = dict[str, list[str]]

_TABLES: LiteralString = """
select c.relname || case when c.relpersistence = 'u' then ' unlogged' else '' end
from pg_class c
where c.relnamespace = %(schema)s::regnamespace and c.relkind in ('r', 'S', 'v')
order by 1
"""
_TYPES: LiteralString = """
select t.typname || ': ' || string_agg(e.enumlabel, ' ' order by e.enumsortorder)
from pg_type t
join pg_enum e on e.enumtypid = t.oid
where t.typnamespace = %(schema)s::regnamespace
group by t.typname
"""
_FUNCTIONS: LiteralString = """
select p.proname || '(' || pg_get_function_arguments(p.oid) || ') returns '
    || pg_get_function_result(p.oid) || ' ' || l.lanname || ' ' || p.provolatile::text
from pg_proc p
join pg_language l on l.oid = p.prolang
where p.pronamespace = %(schema)s::regnamespace
order by 1
"""
_TRIGGERS: LiteralString = """
select pg_get_triggerdef(t.oid)
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
where c.relnamespace = %(schema)s::regnamespace and not t.tgisinternal
order by 1
"""
_LISTS: tuple[tuple[str, LiteralString], ...] = (
    ("tables", _TABLES),
    ("types", _TYPES),
    ("functions", _FUNCTIONS),
    ("triggers", _TRIGGERS),
)
_COLUMNS: LiteralString = """
select c.relname || ' columns', a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
    || case when a.attnotnull then ' not null' else '' end
    || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
from pg_attribute a
join pg_class c on c.oid = a.attrelid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where c.relnamespace = %(schema)s::regnamespace and c.relkind = 'r'
  and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
"""
# Since PostgreSQL 18 "not null" is a constraint too; the columns tell it already.
_CONSTRAINTS: LiteralString = """
select c.relname || ' constraints', n.conname || ' ' || pg_get_constraintdef(n.oid)
from pg_constraint n
join pg_class c on c.oid = n.conrelid
where n.connamespace = %(schema)s::regnamespace and n.contype <> 'n'
order by 1, 2
"""
_INDEXES: LiteralString = """
select tablename || ' indexes', regexp_replace(indexdef, ' ON \\S+ USING', ' USING')
from pg_indexes
where schemaname = %(name)s
order by 1, 2
"""


def postgres_catalogue(url: str, schema: str = "public") -> Catalogue:
    """Everything in `schema`, with the names of its own objects bare."""
    found: Catalogue = {}
    params = {"schema": f'"{schema}"', "name": schema}
    with psycopg.connect(url, options=f'-csearch_path="{schema}"') as connection:
        for heading, query in _LISTS:
            if rows := connection.execute(query, params).fetchall():
                found[heading] = [_bare(str(row[0]), schema) for row in rows]
        for query in (_COLUMNS, _CONSTRAINTS, _INDEXES):
            for heading, line in connection.execute(query, params):
                found.setdefault(heading, []).append(_bare(line, schema))
    return found


def sqlite_catalogue(path: str) -> Catalogue:
    """Everything in the file's schema, without SQLite's own tables."""
    found: Catalogue = {}
    connection: Any = apsw.Connection(path)
    for kind, name, table, sql in connection.execute(
        "select type, name, tbl_name, sql from sqlite_master"
        " where sql is not null and name not like 'sqlite_%' order by name"
    ):
        if kind == "table":
            found.setdefault("tables", []).append(str(name))
            found[f"{name} columns"] = _sqlite_columns(connection, str(name), str(sql))
            found[f"{name} constraints"] = _sqlite_constraints(str(sql))
        else:
            found.setdefault(f"{table} indexes", []).append(_squeeze(str(sql)))
    connection.close()
    return found


def _sqlite_columns(connection: Any, table: str, sql: str) -> list[str]:
    query = 'select name, type, "notnull", dflt_value from pragma_table_xinfo(?)'
    declared = {item.partition(" ")[0]: item for item in _items(sql)}
    return [
        f"{name} {str(kind).lower()}"
        + "".join(f" {w}" for w in ("primary key", "autoincrement") if w in declared[str(name)])
        + (" not null" if required else "")
        + ("" if default is None else f" default {default}")
        for name, kind, required, default in connection.execute(query, (table,))
    ]


def _sqlite_constraints(sql: str) -> list[str]:
    """The constraints of a table, and of its columns those that the list of columns does not tell."""
    return sorted(i for i in _items(sql) if re.search(r"^(constraint|primary)|check|references", i))


def _items(sql: str) -> list[str]:
    """What stands between the parentheses of `create table`."""
    return _split(_squeeze(sql).partition("(")[2].rpartition(")")[0])


def _split(text: str) -> list[str]:
    """`text` at those commas that stand in no parentheses."""
    depth, items = 0, [""]
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            items.append("")
        else:
            items[-1] += char
    return [item.strip() for item in items]


def _squeeze(sql: str) -> str:
    text = re.sub(r"--[^\n]*", "", sql)
    return re.sub(r"\s+", " ", text).replace("( ", "(").replace(" )", ")").strip().lower()


def _bare(line: str, schema: str) -> str:
    return line.replace(f'"{schema}".', "").replace(f"{schema}.", "")
