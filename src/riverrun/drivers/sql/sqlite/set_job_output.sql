-- In any state. Metadata that is no object stays as it is. The new output takes the place of the old
-- one as on PostgreSQL: a merge patch would mix two objects, and take null for a wish to delete.
update /*schema*/river_job
set
    metadata = case
        when not json_valid(metadata, 10) then metadata
        when json_type(metadata) <> 'object' then metadata
        else jsonb_set(metadata, '$.output', jsonb(:output))
    end
where id = :id
returning /*job*/ *
