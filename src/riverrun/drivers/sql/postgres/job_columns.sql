-- The columns of a job row, in the order of `riverrun.drivers.rows`. Times are kept within what
-- Python can hold (`infinity` is legal in a row), so that one odd row cannot fail a whole answer.
id,
state::text as state,
kind,
queue,
priority,
greatest(attempt, 0) as attempt,
max_attempts,
greatest(least(created_at, timestamptz '9999-12-30Z'), timestamptz '0001-01-02Z') as created_at,
greatest(least(scheduled_at, timestamptz '9999-12-30Z'), timestamptz '0001-01-02Z') as scheduled_at,
case
    when attempted_at is not null
    then greatest(least(attempted_at, timestamptz '9999-12-30Z'), timestamptz '0001-01-02Z')
end as attempted_at,
case
    when finalized_at is not null
    then greatest(least(finalized_at, timestamptz '9999-12-30Z'), timestamptz '0001-01-02Z')
end as finalized_at,
args::text as args,
case when metadata <> '{}' then metadata::text end as metadata,
case when cardinality(errors) > 0 then array_to_json(errors)::text end as errors,
case when cardinality(tags) > 0 then array_to_json(tags)::text end as tags,
array_to_json(attempted_by)::text as attempted_by,
unique_key,
unique_states::int as unique_states
