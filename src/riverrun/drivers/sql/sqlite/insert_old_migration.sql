-- For a table older than version 5, which knows no lines.
insert into /*schema*/river_migration (version)
values (:version)
