do $body$
begin
    if to_regclass('/*schema*/river_migration') is not null then
        -- The older table has no column for the line: rows of other lines would be lost.
        if exists (select from /*schema*/river_migration where line <> 'main') then
            raise exception 'Found non-main migration lines in the database; version 005 migration is irreversible because it would lose their rows.';
        end if;

        alter table /*schema*/river_migration rename to river_migration_old;

        create table /*schema*/river_migration (
            id bigserial primary key,
            created_at timestamptz not null default now(),
            version bigint not null,
            constraint version check (version >= 1)
        );

        create unique index on /*schema*/river_migration using btree (version);

        insert into /*schema*/river_migration (created_at, version)
        select created_at, version
        from /*schema*/river_migration_old
        order by version;

        drop table /*schema*/river_migration_old;
    end if;
end;
$body$;

-- Takes its index with it.
alter table /*schema*/river_job
    drop column unique_key;

drop table /*schema*/river_client_queue;
drop table /*schema*/river_client;
