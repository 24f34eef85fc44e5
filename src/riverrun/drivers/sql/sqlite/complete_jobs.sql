-- The end of most jobs: completed, and nothing else to write. `is true` keeps the planner away from
-- the fetching index: it goes by primary key, once for each claim.
update /*schema*/river_job
set
    state = 'completed',
    finalized_at = coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
from (
    select
        value ->> 'id' as job_id,
        value ->> 'attempt' as claimed_attempt,
        value ->> 'attempted_at' as claimed_at
    from json_each(:claims)
) as claim
where id = claim.job_id
    and (state = 'running') is true
    and max(attempt, 0) = claim.claimed_attempt
    and attempted_at = claim.claimed_at
returning id, finalized_at
