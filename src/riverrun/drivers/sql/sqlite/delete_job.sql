delete from /*schema*/river_job
where id = :id
    and state <> 'running'
returning /*job*/ *
