vacuum full analyze /*schema*/river_job
