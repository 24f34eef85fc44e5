"""Every question about jobs: `insert_jobs`, `work_jobs` and `control_jobs` in one place."""

from riverrun.drivers.operations.control_jobs import JobControls
from riverrun.drivers.operations.insert_jobs import InsertedJob, JobInserts
from riverrun.drivers.operations.work_jobs import Fence, Finish, JobWork, ScheduledJob

__all__ = ["Fence", "Finish", "InsertedJob", "JobOperations", "ScheduledJob"]


class JobOperations(JobInserts, JobWork, JobControls):
    """What is asked about jobs, in the words of one dialect."""
