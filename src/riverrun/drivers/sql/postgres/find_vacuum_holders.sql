-- Whatever keeps dead rows from being removed for longer than `age` seconds: transactions of this database,
-- open or prepared. Of a replication slot there is no time; one that is in use moves on, unless it is far
-- behind. A slot's `catalog_xmin` holds back no rows of ours.
select 'transaction', pid::text, extract(epoch from clock_timestamp() - xact_start)::float8
from pg_stat_activity
where datname = current_database()
    and backend_type = 'client backend'
    and pid <> pg_backend_pid()
    and coalesce(backend_xid, backend_xmin) is not null
    and xact_start <= clock_timestamp() - make_interval(secs => :age::float8)
union all
select 'prepared transaction', gid, extract(epoch from clock_timestamp() - prepared)::float8
from pg_prepared_xacts
where database = current_database()
    and prepared <= clock_timestamp() - make_interval(secs => :age::float8)
union all
select 'replication slot', slot_name::text, null
from pg_replication_slots
where xmin is not null
    and (not active or age(xmin) > 1000000)
order by 1, 2
