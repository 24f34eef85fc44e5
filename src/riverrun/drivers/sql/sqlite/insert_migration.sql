insert into /*schema*/river_migration (line, version)
values (:line, :version)
