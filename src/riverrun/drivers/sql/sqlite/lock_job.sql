-- The state of a job, which stays so until the end of the transaction: there is one writer.
select state
from /*schema*/river_job
where id = :id
