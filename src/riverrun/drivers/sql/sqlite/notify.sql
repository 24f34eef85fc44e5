-- One row a message, seen by listeners once the transaction is committed. Topics have no prefix.
insert into /*schema*/river_notification (created_at, payload, topic)
select coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now')), value, :topic
from json_each(:payloads)
