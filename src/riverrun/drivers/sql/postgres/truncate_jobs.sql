truncate /*schema*/river_job
