"""The catalogue of both lines on SQLite, version by version, written out by hand.

`UP[n]` is the catalogue after going up to version n. Going down restores each but version 7, which
keeps the order of columns that version 8 gave to `river_job`. `OWN[n]` has version n of our own line too.
"""

from tests.migrations.catalogue import Catalogue

_NOW = "timestamp not null default current_timestamp"

_MIGRATION_1: Catalogue = {
    "river_migration columns": [
        "id integer primary key",
        f"created_at {_NOW}",
        "version integer not null",
    ],
    "river_migration constraints": ["constraint version check (version >= 1)"],
    "river_migration indexes": [
        "create unique index river_migration_version_idx on river_migration (version)"
    ],
}
_MIGRATION_5: Catalogue = {
    "river_migration columns": [
        "line text not null",
        "version integer not null",
        f"created_at {_NOW}",
    ],
    "river_migration constraints": [
        "constraint line_length check (length(line) > 0 and length(line) < 128)",
        "constraint version_gte_1 check (version >= 1)",
        "primary key (line, version)",
    ],
}
_PLACEHOLDER: Catalogue = {
    "river_job columns": ["id integer primary key"],
    "river_job constraints": [],
}


def _leader(name: str, *checks: str) -> Catalogue:
    return {
        "river_leader columns": [
            "elected_at timestamp not null",
            "expires_at timestamp not null",
            "leader_id text not null",
            name,
        ],
        "river_leader constraints": [
            "constraint leader_id_length check (length(leader_id) > 0 and length(leader_id) < 128)",
            "constraint name_length check (length(name) > 0 and length(name) < 128)",
            *checks,
        ],
    }


_LEADER_2 = _leader("name text primary key not null")
_LEADER_4 = _leader(
    "name text primary key not null default 'default'",
    "name text primary key not null default 'default' check (name = 'default')",
)


def _queue(json: str, updated_at: str) -> Catalogue:
    return {
        "river_queue columns": [
            "name text primary key not null",
            f"created_at {_NOW}",
            f"metadata blob not null default {json}('{{}}')",
            "paused_at timestamp",
            f"updated_at {updated_at}",
        ],
        "river_queue constraints": [],
    }


_CLIENTS: Catalogue = {
    "river_client columns": [
        "id text primary key not null",
        f"created_at {_NOW}",
        "metadata blob not null default json('{}')",
        "paused_at timestamp",
        "updated_at timestamp not null",
    ],
    "river_client constraints": [
        "constraint name_length check (length(id) > 0 and length(id) < 128)"
    ],
    "river_client_queue columns": [
        "river_client_id text not null",
        "name text not null",
        f"created_at {_NOW}",
        "max_workers integer not null default 0",
        "metadata blob not null default json('{}')",
        "num_jobs_completed integer not null default 0",
        "num_jobs_running integer not null default 0",
        "updated_at timestamp not null",
    ],
    "river_client_queue constraints": [
        "constraint name_length check (length(name) > 0 and length(name) < 128)",
        "constraint num_jobs_completed_zero_or_positive check (num_jobs_completed >= 0)",
        "constraint num_jobs_running_zero_or_positive check (num_jobs_running >= 0)",
        "primary key (river_client_id, name)",
        "river_client_id text not null references river_client (id) on delete cascade",
    ],
}

_FINALIZED_OR_NULL = (
    "constraint finalized_or_finalized_at_null check ("
    "(finalized_at is null and state not in ('cancelled', 'completed', 'discarded')) or"
    " (finalized_at is not null and state in ('cancelled', 'completed', 'discarded')))"
)
_STATE_VALID = (
    "constraint state_valid check (state in ('available', 'cancelled', 'completed', 'discarded',"
    " 'pending', 'retryable', 'running', 'scheduled'))"
)
_FETCHING = (
    "create index river_job_prioritized_fetching_index"
    " on river_job (state, queue, priority, scheduled_at, id)"
)
_FINALIZED = (
    "create index river_job_state_and_finalized_at_index"
    " on river_job (state, finalized_at) where finalized_at is not null"
)
_UNIQUE = (
    "create unique index river_job_unique_idx on river_job (unique_key)"
    " where unique_key is not null and unique_states is not null and case state"
    " when 'available' then unique_states & (1 << 0)"
    " when 'cancelled' then unique_states & (1 << 1)"
    " when 'completed' then unique_states & (1 << 2)"
    " when 'discarded' then unique_states & (1 << 3)"
    " when 'pending' then unique_states & (1 << 4)"
    " when 'retryable' then unique_states & (1 << 5)"
    " when 'running' then unique_states & (1 << 6)"
    " when 'scheduled' then unique_states & (1 << 7)"
    " else 0 end >= 1"
)
_JOB: Catalogue = {
    "river_job constraints": [
        _FINALIZED_OR_NULL,
        "constraint kind_length check (length(kind) > 0 and length(kind) < 128)",
        "constraint priority_in_range check (priority >= 1 and priority <= 4)",
        "constraint queue_length check (length(queue) > 0 and length(queue) < 128)",
        _STATE_VALID,
    ],
    "river_job indexes": [
        "create index river_job_kind on river_job (kind)",
        _FETCHING,
        _FINALIZED,
        _UNIQUE,
    ],
}

_MAX_ATTEMPTS = "max_attempts integer not null default 25"


def _job_columns(
    *,
    id_: str = "id integer primary key",
    args: str = "jsonb('{}')",
    json: str = "jsonb",
    middle: tuple[str, ...] = (),
    last: tuple[str, ...] = (),
) -> Catalogue:
    """The job's columns; `max_attempts` stands in the middle or comes last."""
    return {
        "river_job columns": [
            id_,
            f"args blob not null default {args}",
            "attempt integer not null default 0",
            "attempted_at timestamp",
            "attempted_by blob",
            f"created_at {_NOW}",
            "errors blob",
            "finalized_at timestamp",
            "kind text not null",
            *middle,
            f"metadata blob not null default {json}('{{}}')",
            "priority integer not null default 1",
            "queue text not null default 'default'",
            "state text not null default 'available'",
            f"scheduled_at {_NOW}",
            f"tags blob not null default {json}('[]')",
            "unique_key blob",
            "unique_states integer",
            *last,
        ]
    }


_NOTIFICATION: Catalogue = {
    "river_notification columns": [
        "id integer primary key autoincrement",
        "created_at timestamp not null default datetime('now', 'subsec')",
        "payload text not null",
        "topic text not null",
    ],
    "river_notification constraints": [
        "constraint topic_length check (length(topic) > 0 and length(topic) < 128)"
    ],
    "river_notification indexes": [
        "create index river_notification_created_at_idx on river_notification (created_at)",
        "create index river_notification_topic_id_idx on river_notification (topic, id)",
    ],
}


def _tables(*names: str) -> Catalogue:
    return {"tables": [f"river_{name}" for name in names]}


UP: dict[int, Catalogue] = {}
UP[0] = {}
UP[1] = _MIGRATION_1 | _tables("migration")
UP[2] = UP[1] | _tables("job", "leader", "migration") | _PLACEHOLDER | _LEADER_2
UP[3] = UP[2]
UP[4] = (
    UP[3]
    | _tables("job", "leader", "migration", "queue")
    | _LEADER_4
    | _queue("json", "timestamp not null")
)
UP[5] = (
    {heading: lines for heading, lines in UP[4].items() if heading != "river_migration indexes"}
    | _tables("client", "client_queue", "job", "leader", "migration", "queue")
    | _MIGRATION_5
    | _CLIENTS
)
UP[6] = (
    UP[5] | _JOB | _job_columns(args="'{}'", json="json", middle=("max_attempts integer not null",))
)
UP[7] = (
    {heading: lines for heading, lines in UP[6].items() if not heading.startswith("river_client")}
    | _tables("job", "leader", "migration", "notification", "queue")
    | _job_columns(last=(_MAX_ATTEMPTS,))
    | _queue("jsonb", _NOW)
    | _NOTIFICATION
)
UP[8] = UP[7] | _job_columns(id_="id integer primary key autoincrement", middle=(_MAX_ATTEMPTS,))

DOWN: dict[int, Catalogue] = UP | {7: UP[7] | _job_columns(middle=(_MAX_ATTEMPTS,))}

_PRECISE_NOW = "timestamp not null default strftime('%Y-%m-%d %H:%M:%f', 'now')"
OWN: dict[int, Catalogue] = {
    0: UP[8],
    1: UP[8]
    | {"tables": [*UP[8]["tables"], "riverrun_periodic_job"]}
    | {
        "riverrun_periodic_job columns": [
            "id text primary key not null",
            f"created_at {_PRECISE_NOW}",
            "next_run_at timestamp not null",
            f"updated_at {_PRECISE_NOW}",
        ],
        "riverrun_periodic_job constraints": [
            "constraint id_length check (length(id) > 0 and length(id) < 128)"
        ],
    },
}
