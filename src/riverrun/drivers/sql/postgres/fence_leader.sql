-- The last statement of a leader's transaction: holds off the next leader until it is committed.
-- `clock_timestamp()`, since `now()` is the transaction's start; `key share`, since a plain share
-- lock would also hold off our own renewal.
select leader_id
from /*schema*/river_leader
where elected_at = :elected_at::timestamptz
    and leader_id = :leader_id::text
    and expires_at >= coalesce(:now::timestamptz, clock_timestamp())
for key share
