drop table /*schema*/river_job;
drop table /*schema*/river_leader;
