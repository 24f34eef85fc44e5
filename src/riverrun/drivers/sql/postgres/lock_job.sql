-- The state of a job, which stays so until the end of the transaction.
select state::text
from /*schema*/river_job
where id = :id::bigint
for update
