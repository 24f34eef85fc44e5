"""Every question that is put to the database, as values: nothing here connects to anything.

    statement = Operations(database.dialect).jobs.get(1)
    job = await database.run(statement)

A method's answer is a `Statement` where one does, else a `Script` for one transaction. Each statement
is the file of its name in `sql/<dialect>/`.
"""

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.operations.indexes import IndexOperations
from riverrun.drivers.operations.jobs import JobOperations
from riverrun.drivers.operations.leader import LeaderOperations
from riverrun.drivers.operations.notifications import NotificationOperations
from riverrun.drivers.operations.periodic_jobs import PeriodicJobOperations
from riverrun.drivers.operations.queues import QueueOperations
from riverrun.drivers.operations.storage import StorageOperations

__all__ = ["Operations"]


class Operations:
    """The operations by what they are about."""

    def __init__(self, dialect: Dialect) -> None:
        self.jobs = JobOperations(dialect)
        self.queues = QueueOperations(dialect)
        self.indexes = IndexOperations(dialect)
        self.leader = LeaderOperations(dialect)
        self.periodic_jobs = PeriodicJobOperations(dialect)
        self.notifications = NotificationOperations(dialect)
        self.storage = StorageOperations(dialect)
