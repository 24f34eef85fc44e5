-- Held until the transaction ends: whoever migrates at the same time waits here and then looks again. That
-- look must see what the other one has done, whatever isolation the server is set to.
set transaction isolation level read committed;

select pg_advisory_xact_lock(8243502011724563)
