-- Forgets the jobs that nobody has had for so long.
delete from /*schema*/riverrun_periodic_job
where updated_at < coalesce(:now::timestamptz, now()) - make_interval(secs => :age::float8)
returning id
