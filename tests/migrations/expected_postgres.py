"""The catalogue of both lines on PostgreSQL, version by version, written out by hand.

`UP[n]` is the catalogue after going up to version n. Going down leaves traces in two versions, which
`DOWN` has: the label `pending` cannot be dropped, and `metadata` does not get its rules back. `OWN[n]` has
version n of our own line besides the newest of River's.
"""

from tests.migrations.catalogue import Catalogue

_TIME = "timestamp with time zone"
_FINAL = "ARRAY['cancelled'::river_job_state, 'completed'::river_job_state, 'discarded'::river_job_state]"
_LABELS = "available cancelled completed discarded pending retryable running scheduled"

_MIGRATION_1: Catalogue = {
    "river_migration columns": [
        "id bigint not null default nextval('river_migration_id_seq'::regclass)",
        f"created_at {_TIME} not null default now()",
        "version bigint not null",
    ],
    "river_migration constraints": [
        "river_migration_pkey PRIMARY KEY (id)",
        "version CHECK ((version >= 1))",
    ],
    "river_migration indexes": [
        "CREATE UNIQUE INDEX river_migration_pkey USING btree (id)",
        "CREATE UNIQUE INDEX river_migration_version_idx USING btree (version)",
    ],
}

_MIGRATION_5: Catalogue = {
    "river_migration columns": [
        "line text not null",
        "version bigint not null",
        f"created_at {_TIME} not null default now()",
    ],
    "river_migration constraints": [
        "line_length CHECK (((char_length(line) > 0) AND (char_length(line) < 128)))",
        "river_migration_pkey1 PRIMARY KEY (line, version)",
        "version_gte_1 CHECK ((version >= 1))",
    ],
    "river_migration indexes": [
        "CREATE UNIQUE INDEX river_migration_pkey1 USING btree (line, version)"
    ],
}


def _job_columns(
    *,
    args: str = "args jsonb not null",
    metadata: str = "metadata jsonb not null default '{}'::jsonb",
    tags: str = "tags character varying(255)[] not null default '{}'::character varying[]",
    max_attempts: str = "max_attempts smallint not null",
    unique: tuple[str, ...] = (),
) -> Catalogue:
    return {
        "river_job columns": [
            "id bigint not null default nextval('river_job_id_seq'::regclass)",
            "state river_job_state not null default 'available'::river_job_state",
            "attempt smallint not null default 0",
            max_attempts,
            f"attempted_at {_TIME}",
            f"created_at {_TIME} not null default now()",
            f"finalized_at {_TIME}",
            f"scheduled_at {_TIME} not null default now()",
            "priority smallint not null default 1",
            args,
            "attempted_by text[]",
            "errors jsonb[]",
            "kind text not null",
            metadata,
            "queue text not null default 'default'::text",
            tags,
            *unique,
        ]
    }


def _job_constraints(finalized: str) -> Catalogue:
    return {
        "river_job constraints": [
            f"finalized_or_finalized_at_null CHECK ({finalized})",
            "kind_length CHECK (((char_length(kind) > 0) AND (char_length(kind) < 128)))",
            "max_attempts_is_positive CHECK ((max_attempts > 0))",
            "priority_in_range CHECK (((priority >= 1) AND (priority <= 4)))",
            "queue_length CHECK (((char_length(queue) > 0) AND (char_length(queue) < 128)))",
            "river_job_pkey PRIMARY KEY (id)",
        ]
    }


_LOOSE = _job_constraints(
    f"(((state = ANY ({_FINAL})) AND (finalized_at IS NOT NULL)) OR (finalized_at IS NULL))"
)
_STRICT = _job_constraints(
    f"(((finalized_at IS NULL) AND (state <> ALL ({_FINAL})))"
    f" OR ((finalized_at IS NOT NULL) AND (state = ANY ({_FINAL}))))"
)


_FETCHING = (
    "CREATE INDEX river_job_prioritized_fetching_index"
    " USING btree (state, queue, priority, scheduled_at, id)"
)
_FINALIZED = (
    "CREATE INDEX river_job_state_and_finalized_at_index"
    " USING btree (state, finalized_at) WHERE (finalized_at IS NOT NULL)"
)


def _job_indexes(*unique: str) -> Catalogue:
    return {
        "river_job indexes": [
            "CREATE INDEX river_job_args_index USING gin (args)",
            "CREATE INDEX river_job_kind USING btree (kind)",
            "CREATE INDEX river_job_metadata_index USING gin (metadata)",
            _FETCHING,
            _FINALIZED,
            *sorted([*unique, "CREATE UNIQUE INDEX river_job_pkey USING btree (id)"]),
        ]
    }


_KIND_UNIQUE = (
    "CREATE UNIQUE INDEX river_job_kind_unique_key_idx"
    " USING btree (kind, unique_key) WHERE (unique_key IS NOT NULL)"
)
_UNIQUE = (
    "CREATE UNIQUE INDEX river_job_unique_idx USING btree (unique_key)"
    " WHERE ((unique_key IS NOT NULL) AND (unique_states IS NOT NULL)"
    " AND river_job_state_in_bitmask(unique_states, state))"
)


def _leader(name: str, name_length: str) -> Catalogue:
    return {
        "river_leader columns": [
            f"elected_at {_TIME} not null",
            f"expires_at {_TIME} not null",
            "leader_id text not null",
            name,
        ],
        "river_leader constraints": [
            "leader_id_length CHECK (((char_length(leader_id) > 0) AND (char_length(leader_id) < 128)))",
            f"name_length CHECK ({name_length})",
            "river_leader_pkey PRIMARY KEY (name)",
        ],
        "river_leader indexes": ["CREATE UNIQUE INDEX river_leader_pkey USING btree (name)"],
    }


_LEADER_2 = _leader("name text not null", "((char_length(name) > 0) AND (char_length(name) < 128))")
_LEADER_4 = _leader("name text not null default 'default'::text", "(name = 'default'::text)")


def _queue(updated_at: str) -> Catalogue:
    return {
        "river_queue columns": [
            "name text not null",
            f"created_at {_TIME} not null default now()",
            "metadata jsonb not null default '{}'::jsonb",
            f"paused_at {_TIME}",
            updated_at,
        ],
        "river_queue constraints": ["river_queue_pkey PRIMARY KEY (name)"],
        "river_queue indexes": ["CREATE UNIQUE INDEX river_queue_pkey USING btree (name)"],
    }


_FOREIGN_KEY = (
    "river_client_queue_river_client_id_fkey FOREIGN KEY (river_client_id)"
    " REFERENCES river_client(id) ON DELETE CASCADE"
)

_CLIENTS: Catalogue = {
    "river_client columns": [
        "id text not null",
        f"created_at {_TIME} not null default now()",
        "metadata jsonb not null default '{}'::jsonb",
        f"paused_at {_TIME}",
        f"updated_at {_TIME} not null",
    ],
    "river_client constraints": [
        "name_length CHECK (((char_length(id) > 0) AND (char_length(id) < 128)))",
        "river_client_pkey PRIMARY KEY (id)",
    ],
    "river_client indexes": ["CREATE UNIQUE INDEX river_client_pkey USING btree (id)"],
    "river_client_queue columns": [
        "river_client_id text not null",
        "name text not null",
        f"created_at {_TIME} not null default now()",
        "max_workers bigint not null default 0",
        "metadata jsonb not null default '{}'::jsonb",
        "num_jobs_completed bigint not null default 0",
        "num_jobs_running bigint not null default 0",
        f"updated_at {_TIME} not null",
    ],
    "river_client_queue constraints": [
        "name_length CHECK (((char_length(name) > 0) AND (char_length(name) < 128)))",
        "num_jobs_completed_zero_or_positive CHECK ((num_jobs_completed >= 0))",
        "num_jobs_running_zero_or_positive CHECK ((num_jobs_running >= 0))",
        "river_client_queue_pkey PRIMARY KEY (river_client_id, name)",
        _FOREIGN_KEY,
    ],
    "river_client_queue indexes": [
        "CREATE UNIQUE INDEX river_client_queue_pkey USING btree (river_client_id, name)"
    ],
}

_NOTIFICATION: Catalogue = {
    "river_notification columns": [
        "id bigint not null default nextval('river_notification_id_seq'::regclass)",
        f"created_at {_TIME} not null default now()",
        "payload text not null",
        "topic text not null",
    ],
    "river_notification constraints": [
        "river_notification_pkey PRIMARY KEY (id)",
        "topic_length CHECK (((length(topic) > 0) AND (length(topic) < 128)))",
    ],
    "river_notification indexes": [
        "CREATE INDEX river_notification_created_at_idx USING btree (created_at)",
        "CREATE INDEX river_notification_topic_id_idx USING btree (topic, id)",
        "CREATE UNIQUE INDEX river_notification_pkey USING btree (id)",
    ],
}

_TRIGGER = (
    "CREATE TRIGGER river_notify AFTER INSERT ON river_job"
    " FOR EACH ROW EXECUTE FUNCTION river_job_notify()"
)

_NOTIFY: Catalogue = {
    "functions": ["river_job_notify() returns trigger plpgsql v"],
    "triggers": [_TRIGGER],
}
_BITMASK: Catalogue = {
    "functions": [
        "river_job_state_in_bitmask(bitmask bit, state river_job_state) returns boolean sql i"
    ]
}


def _types(labels: str) -> Catalogue:
    return {"types": [f"river_job_state: {labels}"]}


def _tables(*names: str) -> Catalogue:
    return {"tables": sorted(names)}


_JOBS = ("river_job", "river_job_id_seq", "river_leader unlogged")
_OLD = ("river_migration", "river_migration_id_seq")
_OUTBOX = ("river_notification", "river_notification_id_seq")
_CLIENT_TABLES = ("river_client unlogged", "river_client_queue unlogged")

_NO_TAGS_RULE = "tags character varying(255)[]"
_KEY = ("unique_key bytea",)
_KEY_AND_STATES = ("unique_key bytea", "unique_states bit(8)")

UP: dict[int, Catalogue] = {}
UP[0] = {}
UP[1] = _MIGRATION_1 | _tables(*_OLD)
UP[2] = (
    _MIGRATION_1
    | _tables(*_OLD, *_JOBS)
    | _types(_LABELS.replace("pending ", ""))
    | _job_columns(args="args jsonb", tags=_NO_TAGS_RULE)
    | _LOOSE
    | _job_indexes()
    | _LEADER_2
    | _NOTIFY
)
UP[3] = UP[2] | _job_columns(args="args jsonb")
UP[4] = (
    _MIGRATION_1
    | _tables(*_OLD, *_JOBS, "river_queue")
    | _types(_LABELS)
    | _job_columns()
    | _STRICT
    | _job_indexes()
    | _LEADER_4
    | _queue(f"updated_at {_TIME} not null")
)
UP[5] = (
    UP[4]
    | _MIGRATION_5
    | _tables("river_migration", *_JOBS, "river_queue", *_CLIENT_TABLES)
    | _job_columns(unique=_KEY)
    | _job_indexes(_KIND_UNIQUE)
    | _CLIENTS
)
UP[6] = UP[5] | _BITMASK | _job_columns(unique=_KEY_AND_STATES) | _job_indexes(_UNIQUE)
UP[7] = (
    {heading: lines for heading, lines in UP[6].items() if not heading.startswith("river_client")}
    | _tables("river_migration", *_JOBS, "river_queue", *_OUTBOX)
    | _job_columns(max_attempts="max_attempts smallint not null default 25", unique=_KEY_AND_STATES)
    | _queue(f"updated_at {_TIME} not null default CURRENT_TIMESTAMP")
    | _NOTIFICATION
)
UP[8] = UP[7]

DOWN: dict[int, Catalogue] = UP | {
    3: UP[3] | _types(_LABELS) | _job_columns(args="args jsonb", metadata="metadata jsonb"),
    2: UP[2]
    | _types(_LABELS)
    | _job_columns(args="args jsonb", metadata="metadata jsonb", tags=_NO_TAGS_RULE),
}

OWN: dict[int, Catalogue] = {
    0: UP[8],
    1: UP[8]
    | _tables("river_migration", *_JOBS, "river_queue", *_OUTBOX, "riverrun_periodic_job")
    | {
        "riverrun_periodic_job columns": [
            "id text not null",
            f"created_at {_TIME} not null default now()",
            f"next_run_at {_TIME} not null",
            f"updated_at {_TIME} not null default now()",
        ],
        "riverrun_periodic_job constraints": [
            "id_length CHECK (((char_length(id) > 0) AND (char_length(id) < 128)))",
            "riverrun_periodic_job_pkey PRIMARY KEY (id)",
        ],
        "riverrun_periodic_job indexes": [
            "CREATE UNIQUE INDEX riverrun_periodic_job_pkey USING btree (id)"
        ],
    },
}
