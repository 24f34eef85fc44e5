-- A job's place in `unique_states` is counted from the right in the order of the labels.
create or replace function /*schema*/river_job_state_in_bitmask(bitmask bit(8), state /*schema*/river_job_state)
    returns boolean
    language sql
    immutable
as $body$
    select case state
        when 'available' then get_bit(bitmask, 7)
        when 'cancelled' then get_bit(bitmask, 6)
        when 'completed' then get_bit(bitmask, 5)
        when 'discarded' then get_bit(bitmask, 4)
        when 'pending' then get_bit(bitmask, 3)
        when 'retryable' then get_bit(bitmask, 2)
        when 'running' then get_bit(bitmask, 1)
        when 'scheduled' then get_bit(bitmask, 0)
        else 0
    end = 1;
$body$;

-- Column and index may be there already: with big tables both can be made beforehand, without a lock.
alter table /*schema*/river_job
    add column if not exists unique_states bit(8);

create unique index if not exists river_job_unique_idx
    on /*schema*/river_job using btree (unique_key)
    where unique_key is not null
      and unique_states is not null
      and /*schema*/river_job_state_in_bitmask(unique_states, state);

drop index /*schema*/river_job_kind_unique_key_idx;
