truncate /*schema*/river_job, /*schema*/river_leader, /*schema*/river_notification, /*schema*/river_queue
