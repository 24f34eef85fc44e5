-- The table of jobs and its indexes: how each is kept, and whether queries may use it. An index that is
-- not valid may be one that is being built; of other users' builds we may not see which table they are on.
select
    relation.relname::text,
    method.amname::text,
    coalesce(part.indisvalid, true),
    exists (
        select
        from pg_stat_progress_create_index as build
        where build.datname = current_database()
            and coalesce(build.relid = part.indrelid, true)
    ),
    coalesce(relation.reloptions, '{}')
from pg_class as relation
join pg_am as method
    on method.oid = relation.relam
left join pg_index as part
    on part.indexrelid = relation.oid
where relation.oid = to_regclass('/*schema*/river_job')
    or part.indrelid = to_regclass('/*schema*/river_job')
order by relation.relname
