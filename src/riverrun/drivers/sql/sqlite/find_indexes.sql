-- Those of the names that are indexes, in the order given.
select wanted.value
from json_each(:names) as wanted
join /*schema*/sqlite_master as found
    on found.name = wanted.value
where found.type = 'index'
order by wanted.key
