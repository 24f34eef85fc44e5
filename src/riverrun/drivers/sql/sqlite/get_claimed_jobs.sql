-- What a client has claimed in one queue since a moment; asked only after a fetch that failed.
-- The first two columns of river_job_prioritized_fetching_index find what runs in the queue.
select /*job*/ *
from /*schema*/river_job
where state = 'running'
    and queue = :queue
    and attempted_at >= :since
    and case
        when json_valid(attempted_by, 10)
        then json_extract(attempted_by, '$[#-1]') = :client_id
    end
order by id
limit :limit
