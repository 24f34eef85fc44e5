-- Whether there is a schema to migrate in (always), the table, and the column that version 5 gave it.
select
    1,
    exists (
        select 1
        from /*schema*/sqlite_master
        where type = 'table'
          and name = 'river_migration'
    ),
    exists (
        select 1
        from pragma_table_info('river_migration', coalesce(:schema, 'main'))
        where name = 'line'
    )
