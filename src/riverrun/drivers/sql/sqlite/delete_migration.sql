delete from /*schema*/river_migration
where line = :line
  and version = :version
