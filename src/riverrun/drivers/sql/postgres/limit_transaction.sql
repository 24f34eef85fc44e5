-- For this transaction only: a client that is cut off must not keep the leader's row locked.
select
    set_config('statement_timeout', :milliseconds::text, true),
    set_config('idle_in_transaction_session_timeout', :milliseconds::text, true)
