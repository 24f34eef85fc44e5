-- What a REINDEX CONCURRENTLY of the index left behind, or has under way: `_ccnew` is the new index
-- before it takes the old one's place, `_ccold` the old one after it, each with a number if the name was
-- taken. Whether one is being built is said too often rather than too seldom: of other users' builds
-- we may not see which table they are on.
select
    artifact.oid::bigint,
    artifact.relname::text,
    part.indisvalid,
    exists (
        select
        from pg_stat_progress_create_index as build
        where build.datname = current_database()
            and coalesce(build.relid = part.indrelid, true)
    ),
    pg_relation_size(artifact.oid)
from pg_class as origin
join pg_index as whole
    on whole.indexrelid = origin.oid
join pg_index as part
    on part.indrelid = whole.indrelid
join pg_class as artifact
    on artifact.oid = part.indexrelid
where origin.oid = to_regclass('/*schema*/' || quote_ident(:name::text))
    and starts_with(artifact.relname, origin.relname)
    and substr(artifact.relname, length(origin.relname) + 1) ~ '^_cc(new|old)[0-9]*$'
order by artifact.relname
