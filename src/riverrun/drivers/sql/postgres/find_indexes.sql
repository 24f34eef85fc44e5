-- Those of the names that are ordinary indexes, in the order given.
select wanted.name
from unnest(:names::text[]) with ordinality as wanted (name, place)
join pg_class as index
    on index.oid = to_regclass('/*schema*/' || quote_ident(wanted.name))
where index.relkind = 'i'
order by wanted.place
