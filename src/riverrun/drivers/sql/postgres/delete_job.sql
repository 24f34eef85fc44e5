delete from /*schema*/river_job
where id = :id::bigint
    and state <> 'running'
returning /*job*/ *
