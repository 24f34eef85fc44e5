-- How far a job of several steps has come, written by the attempt itself while it runs. Cursors that
-- are not among `cursors` are gone; a merge patch would keep them, and lose what is null within.
update /*schema*/river_job
set
    metadata = case
        when not json_valid(metadata, 10) or json_type(metadata) <> 'object' then metadata
        when :cursors is null
        then jsonb_set(
            jsonb_remove(metadata, '$."river:resumable_cursor"'),
            '$."river:resumable_step"',
            :step
        )
        else jsonb_set(
            metadata,
            '$."river:resumable_step"',
            :step,
            '$."river:resumable_cursor"',
            jsonb(:cursors)
        )
    end
where id = :id
    and (state = 'running') is true
    and max(attempt, 0) = :attempt
    and attempted_at = :attempted_at
returning /*job*/ *
