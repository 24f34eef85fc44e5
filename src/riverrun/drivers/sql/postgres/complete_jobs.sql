-- The end of most jobs: completed, and nothing else to write.
-- `(state = 'running') is true` matches no index on purpose: with `state = 'running'` the planner
-- may read thousands of dead entries of the fetching index instead of going by primary key.
-- Each claim has its own time, so the batch's claim times fence every row of it.
update /*schema*/river_job
set
    state = 'completed',
    finalized_at = coalesce(:now::timestamptz, now())
where id = any(:ids::bigint[])
    and (state = 'running') is true
    and attempted_at = any(:attempted_ats::timestamptz[])
    and greatest(attempt, 0) = any(:attempts::int[])
returning id, finalized_at
