-- For a table older than version 5, which knows no lines.
delete from /*schema*/river_migration
where version = :version::bigint
