alter table /*schema*/river_migration rename to river_migration_old;

create table /*schema*/river_migration (
    id integer primary key,
    created_at timestamp not null default current_timestamp,
    version integer not null,
    constraint version check (version >= 1)
);

create unique index /*schema*/river_migration_version_idx
    on river_migration (version);

insert into /*schema*/river_migration (created_at, version)
select created_at, version
from /*schema*/river_migration_old
order by version;

drop table /*schema*/river_migration_old;

drop table /*schema*/river_client_queue;
drop table /*schema*/river_client;
