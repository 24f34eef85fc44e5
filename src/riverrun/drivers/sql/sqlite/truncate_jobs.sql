delete from /*schema*/river_job
