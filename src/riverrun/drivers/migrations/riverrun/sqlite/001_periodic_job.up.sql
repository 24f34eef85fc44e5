create table /*schema*/riverrun_periodic_job (
    id text primary key not null,
    created_at timestamp not null default (strftime('%Y-%m-%d %H:%M:%f', 'now')),
    next_run_at timestamp not null,
    updated_at timestamp not null default (strftime('%Y-%m-%d %H:%M:%f', 'now')),
    constraint id_length check (length(id) > 0 and length(id) < 128)
);
