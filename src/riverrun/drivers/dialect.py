"""All that differs between the databases besides the text of the SQL: placeholders and values.

Statements live in `sql/<dialect>/<operation>.sql` and can be pasted into the database's own shell:

- `:name` is a parameter;
- `/*schema*/` before the name of a table, type or function becomes the configured schema;
- `/*job*/ *` becomes the columns of a job row in the order of `job_columns.sql`;
- `/*duplicate*/ xmax <> 0` becomes how this server says that a row was there before;
- `/*notify*/ true` becomes the statement in `notify.sql`, run once, if there are messages to send.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

TIMES_KEPT = 1024
"""Times whose form is kept: the jobs of one claim, or of one insert, share theirs."""

Duplicates = Literal["xmax", "old", "nonce"]

_JOB = "/*job*/ *"
_DUPLICATE = "/*duplicate*/ xmax <> 0"
_DUPLICATES: dict[Duplicates, str] = {
    "xmax": "xmax <> 0",
    "old": "old.id is not null",
    "nonce": "unique_key is not null\n"
    "    and metadata ->> 'river:unique_nonce' is distinct from :nonce::text",
}
_NOTIFY = "/*notify*/ true"
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_COMMENT_LINE = re.compile(r"^\s*--.*\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CompiledSQL:
    """A statement's text as its driver wants it, and the names of its parameters in order."""

    text: str
    names: tuple[str, ...]

    @property
    def silent(self) -> str:
        """The text without `returning`, which spares the database and us a row for each."""
        return self.text.rpartition("\nreturning")[0]


@dataclass(slots=True)
class ServerFacts:
    """What is known of the server at the other end; `postgres_capabilities` finds it out, once.

    Until it is `known`, what PostgreSQL has always been is taken for granted. All dialects of one
    `Database` share one of these, those of adopted connections too.
    """

    known: bool = False
    duplicates: Duplicates = "xmax"
    """How an insert tells that another row holds its unique key: see `insert_jobs.sql`."""
    notifies: bool = True
    """Whether LISTEN and NOTIFY work."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A value in a statement that is built from pieces: it is sent beside the text, never in it."""

    value: object


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of database with one schema. `name` is `postgres` or `sqlite`.

    `style` is how parameters are written: `$` for asyncpg ($1), `%` for psycopg (%s), `?` for SQLite.
    """

    name: str
    style: str
    schema: str | None = None
    server: ServerFacts = field(default_factory=ServerFacts, compare=False)

    def sql(self, operation: str, *, notifies: bool = False) -> CompiledSQL:
        """The text of `operation`, ready for the driver."""
        return _compile(
            self.name,
            self.style,
            self.schema,
            self.server.duplicates,
            operation,
            notifies=notifies,
        )

    def has(self, operation: str) -> bool:
        """Whether this database has such an operation at all."""
        return (
            resources.files("riverrun.drivers")
            .joinpath("sql", self.name, f"{operation}.sql")
            .is_file()
        )

    def qualify(self, text: str) -> str:
        """`text` with each `/*schema*/` replaced by the quoted schema and a dot, or by nothing."""
        return text.replace("/*schema*/", f'"{self.schema}".' if self.schema else "")

    def encode(self, compiled: CompiledSQL, params: Mapping[str, object]) -> list[Any]:
        """The parameters in order, each as its driver takes it."""
        if self.name == "sqlite":
            return [_for_sqlite(params[name]) for name in compiled.names]
        return [params[name] for name in compiled.names]

    def build(self, pieces: Iterable[str | Bound]) -> tuple[str, list[Any]]:
        """Text and parameters of a statement made of pieces, for the few that cannot be files."""
        values: list[Any] = []
        text = "".join(self._piece(piece, values) for piece in pieces)
        return text, values

    def _piece(self, piece: str | Bound, values: list[Any]) -> str:
        if isinstance(piece, str):
            text = self.qualify(piece.replace(_JOB, _job_columns(self.name)))
            return text.replace("%", "%%") if self.style == "%" else text
        values.append(_for_sqlite(piece.value) if self.name == "sqlite" else piece.value)
        return "%s" if self.style == "%" else f"{self.style}{len(values)}"

    @property
    def is_postgres(self) -> bool:
        return self.name == "postgres"


@lru_cache(maxsize=1024)
def _compile(
    name: str,
    style: str,
    schema: str | None,
    duplicates: Duplicates,
    operation: str,
    *,
    notifies: bool,
) -> CompiledSQL:
    text = _without_comments(name, operation)
    if notifies:
        text = text.replace(_NOTIFY, _once(_without_comments(name, "notify")))
    text = text.replace(_JOB, _job_columns(name))
    text = text.replace(_DUPLICATE, _DUPLICATES[duplicates])
    text = Dialect(name, style, schema).qualify(text).strip().removesuffix(";")
    if style == "%":
        text = text.replace("%", "%%")
    names: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        return _placeholder(style, match[1], names)

    return CompiledSQL(_PARAMETER.sub(placeholder, text), tuple(names))


@lru_cache
def _job_columns(dialect: str) -> str:
    return _without_comments(dialect, "job_columns")


def _placeholder(style: str, name: str, names: list[str]) -> str:
    """The next placeholder; only psycopg's cannot be used twice for one value."""
    if style == "%":
        names.append(name)
        return "%s"
    if name not in names:
        names.append(name)
    return f"{'$' if style == '$' else '?'}{names.index(name) + 1}"


def _without_comments(dialect: str, operation: str) -> str:
    files = resources.files("riverrun.drivers")
    text = files.joinpath("sql", dialect, f"{operation}.sql").read_text("utf-8")
    return _COMMENT_LINE.sub("", text).strip()


def _once(query: str) -> str:
    """A condition that is true of every row, and for which `query` is run once."""
    return f"(select count(answer) from ({query}) as answer) is not null"  # noqa: S608 - a file of ours


def _for_sqlite(value: object) -> object:
    return sqlite_time(value) if isinstance(value, datetime) else value


@lru_cache(maxsize=TIMES_KEPT)
def sqlite_time(value: datetime) -> str:
    """A time as River writes it to SQLite: UTC, exactly three digits, comparable as text."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"


def quote_identifier(name: str) -> str:
    """`name` as a quoted identifier, for the rare statement that is built and not read from a file."""
    return '"' + name.replace('"', '""') + '"'
