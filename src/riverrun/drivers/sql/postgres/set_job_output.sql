-- In any state. Metadata that is no object stays as it is.
update /*schema*/river_job
set
    metadata = case
        when jsonb_typeof(metadata) <> 'object' then metadata
        else metadata || jsonb_build_object('output', :output::text::jsonb)
    end
where id = :id::bigint
returning /*job*/ *
