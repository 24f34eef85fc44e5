-- Whether there is a schema to migrate in, the table in it, and the column that version 5 gave it.
-- The catalogue is asked by name as River does it, so that the search path counts without a schema.
select
    case
        when :schema::text is null then current_schema() is not null
        else exists (select from pg_namespace where nspname = :schema::text)
    end,
    to_regclass('/*schema*/river_migration') is not null,
    exists (
        select
        from pg_attribute
        where attrelid = to_regclass('/*schema*/river_migration')
          and attname = 'line'
          and not attisdropped
    )
