"""What the demo knows of its jobs, and the sentences it makes of what happens to them."""

import json
from dataclasses import dataclass
from datetime import timedelta

from riverrun.cli.demo_jobs import PlannedJob
from riverrun.model.event import Event, EventKind
from riverrun.model.insert import InsertResult
from riverrun.model.job import JobRow, JobState

WORDS = {
    EventKind.JOB_COMPLETED: "completed",
    EventKind.JOB_FAILED: "failed",
    EventKind.JOB_CANCELLED: "cancelled",
    EventKind.JOB_SNOOZED: "snoozed",
    EventKind.JOB_INTERRUPTED: "interrupted",
}


@dataclass(frozen=True)
class Line:
    """One thing that happened to one job."""

    row: JobRow
    word: str
    text: str

    def __str__(self) -> str:
        return f"#{self.row.id:<4} {self.row.kind:<15} {self.word:<10} {self.text}".rstrip()


@dataclass
class Entry:
    """One job: how it has to end, its row as last seen, and what happened last."""

    planned: PlannedJob
    row: JobRow
    last: str = ""
    is_over: bool = False

    @property
    def is_as_expected(self) -> bool:
        ends, attempt = self.planned.ends, self.planned.attempt
        return self.is_over and (self.row.state, self.row.attempt) == (ends, attempt)


class Board:
    """Fed with results, rows and events; holds one entry for each job, by id."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.duplicates = 0
        self._problems: list[str] = []

    def inserted(self, planned: PlannedJob, result: InsertResult) -> Line:
        """A job was inserted, or skipped because it was there already."""
        row, skipped = result.job, result.unique_skipped_as_duplicate
        if skipped != planned.is_duplicate:
            self._problems.append(f"{row.kind}: skipped as duplicate is {skipped}")
        if skipped:
            self.duplicates += 1
            return self._note(Line(row, "skipped", "the same job is there already"))
        self.entries[row.id] = Entry(planned, row)
        delay = row.scheduled_at - row.created_at
        when = f"to run in {delay.total_seconds():.0f} s" if delay > timedelta(seconds=1) else ""
        return self._note(Line(row, "inserted", when))

    def seen(self, row: JobRow) -> Line | None:
        """The row was read; news only if the job has begun to run."""
        entry = self.entries[row.id]
        before, entry.row = entry.row, row
        if row.state is not JobState.RUNNING or before.attempted_at == row.attempted_at:
            return None
        return self._note(Line(row, "running", f"attempt {row.attempt}"))

    def cancelling(self, row: JobRow) -> Line:
        """Somebody asked for the job to be cancelled."""
        return self._note(Line(row, "cancelling", "asked from outside"))

    def happened(self, event: Event) -> Line | None:
        """An attempt ended, of a job of ours."""
        if event.job is None or event.job.id not in self.entries:
            return None
        entry = self.entries[event.job.id]
        entry.row = event.job
        entry.is_over = event.job.state.finalized
        return self._note(Line(event.job, WORDS[event.kind], _text(event, event.job)))

    @property
    def running(self) -> list[Entry]:
        """The jobs that have not ended."""
        return [entry for entry in self.entries.values() if not entry.is_over]

    @property
    def problems(self) -> list[str]:
        """Everything that did not go as planned, in words."""
        return self._problems + [
            f"#{entry.row.id} {entry.row.kind}: {entry.row.state} after attempt {entry.row.attempt},"
            f" not {entry.planned.ends} after attempt {entry.planned.attempt}"
            for entry in self.entries.values()
            if not entry.is_as_expected
        ]

    def counts(self) -> str:
        """How many jobs are in which state."""
        states = [entry.row.state for entry in self.entries.values()]
        parts = [f"{states.count(state)} {state}" for state in JobState if state in states]
        return ", ".join(parts)

    def _note(self, line: Line) -> Line:
        if line.row.id in self.entries and line.word != "skipped":
            self.entries[line.row.id].last = f"{line.word} {line.text}".rstrip()
        return line


def _text(event: Event, row: JobRow) -> str:
    match event.kind:
        case EventKind.JOB_COMPLETED:
            output = f", output {json.dumps(row.output)}" if row.output is not None else ""
            return f"in attempt {row.attempt}{output}"
        case EventKind.JOB_FAILED:
            return f"in attempt {row.attempt}: {_error(row)}{_again(event, row)}"
        case EventKind.JOB_CANCELLED:
            return _error(row)
        case EventKind.JOB_SNOOZED:
            return f"no attempt spent{_again(event, row)}"
        case _:
            return ""


def _error(row: JobRow) -> str:
    return row.errors[-1].error if row.errors else ""


def _again(event: Event, row: JobRow) -> str:
    """In how many seconds the job runs again, counted from the end of this attempt."""
    if row.state.finalized or row.attempted_at is None or event.stats is None:
        return ""
    delay = row.scheduled_at - row.attempted_at - event.stats.run
    return f"; again in {delay.total_seconds():.0f} s"
