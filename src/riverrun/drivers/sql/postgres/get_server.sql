-- What kind of server this is. The functions are called by their bare names, as River's Go client does,
-- so that a test can pretend another server with functions of its own, earlier in the search path.
select
    version(),
    current_setting('yb_enable_listen_notify', true),
    current_setting('server_version_num')
