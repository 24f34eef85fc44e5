-- What vacuum knows of the table of jobs, and whether we may see everybody's transactions.
select
    n_live_tup,
    n_dead_tup,
    pg_has_role(current_user, 'pg_read_all_stats', 'usage')
from pg_stat_all_tables
where relid = to_regclass('/*schema*/river_job')
