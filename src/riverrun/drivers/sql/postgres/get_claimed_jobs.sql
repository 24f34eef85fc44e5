-- What a client has claimed in one queue since a moment; asked only after a fetch that failed.
-- The first two columns of river_job_prioritized_fetching_index find what runs in the queue.
select /*job*/ *
from /*schema*/river_job
where state = 'running'
    and queue = :queue::text
    and attempted_at >= :since::timestamptz
    and attempted_by[cardinality(attempted_by)] = :client_id::text
order by id
limit :limit::int
