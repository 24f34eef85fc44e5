-- The end of a claim that `lock_available_jobs` made in the same transaction: most jobs have completed by
-- now, and `running_ids` run on, as if they had been fetched. The claim is written here, the time of it as
-- it was told then; the end is now, and not the beginning of the transaction.
update /*schema*/river_job
set
    state = case
        when id = any(:running_ids::bigint[]) then 'running'
        else 'completed'
    end::/*schema*/river_job_state,
    finalized_at = case
        when id = any(:running_ids::bigint[]) then null
        else coalesce(:now::timestamptz, (select clock_timestamp()))
    end,
    attempt = least(attempt + 1, 32767),
    attempted_at = :attempted_at::timestamptz,
    attempted_by = array_append(
        case
            when cardinality(attempted_by) >= 100
            then attempted_by[cardinality(attempted_by) - 98 : cardinality(attempted_by)]
            else attempted_by
        end,
        :client_id::text
    )
where id = any(:ids::bigint[])
returning finalized_at
