-- Forgets the jobs that nobody has had for so long.
delete from /*schema*/riverrun_periodic_job
where updated_at < strftime(
    '%Y-%m-%d %H:%M:%f', coalesce(:now, 'now'), format('-%.3f seconds', :age)
)
returning id
