delete from /*schema*/river_job;
delete from /*schema*/river_leader;
delete from /*schema*/river_notification;
delete from /*schema*/river_queue
