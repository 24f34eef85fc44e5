-- How far a job of several steps has come, written by the attempt itself while it runs. Cursors that
-- are not among `cursors` are gone.
update /*schema*/river_job
set
    metadata = case when jsonb_typeof(metadata) = 'object' then metadata else '{}' end
        - 'river:resumable_cursor'
        || jsonb_build_object('river:resumable_step', :step::text)
        || case
            when :cursors::text is null then '{}'
            else jsonb_build_object('river:resumable_cursor', :cursors::text::jsonb)
        end
where id = :id::bigint
    and (state = 'running') is true
    and greatest(attempt, 0) = :attempt::int
    and attempted_at = :attempted_at::timestamptz
returning /*job*/ *
