create table /*schema*/riverrun_periodic_job (
    id text not null primary key,
    created_at timestamptz not null default now(),
    next_run_at timestamptz not null,
    updated_at timestamptz not null default now(),
    constraint id_length check (char_length(id) > 0 and char_length(id) < 128)
);
