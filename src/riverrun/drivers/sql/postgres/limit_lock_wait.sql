-- For this transaction only: whoever waits for a lock holds up all that come later.
select set_config('lock_timeout', :milliseconds::text, true)
