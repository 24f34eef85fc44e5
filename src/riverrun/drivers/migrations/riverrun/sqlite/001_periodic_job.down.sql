drop table /*schema*/riverrun_periodic_job;
