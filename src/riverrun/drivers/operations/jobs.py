"""Every question about jobs, whichever file it stands in."""

from riverrun.drivers.operations.control_jobs import JobControls
from riverrun.drivers.operations.insert_jobs import InsertedJob, JobInserts
from riverrun.drivers.operations.list_jobs import JobLists
from riverrun.drivers.operations.maintain_jobs import JobDeletes, RetentionRule
from riverrun.drivers.operations.rescue_jobs import JobRescues, Rescue, StuckJob
from riverrun.drivers.operations.work_jobs import Fence, Finish, JobWork, ScheduledJob

__all__ = [
    "Fence",
    "Finish",
    "InsertedJob",
    "JobOperations",
    "Rescue",
    "RetentionRule",
    "ScheduledJob",
    "StuckJob",
]


class JobOperations(JobInserts, JobWork, JobControls, JobLists, JobDeletes, JobRescues):
    """What is asked about jobs, in the words of one dialect."""
