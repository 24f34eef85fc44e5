"""How the demo is shown: a table that changes in a terminal, plain lines anywhere else."""

import time
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from riverrun.cli.demo_board import Board, Entry, Line
from riverrun.cli.terminal import printable
from riverrun.model.job import JobState

STYLES = {
    JobState.AVAILABLE: "cyan",
    JobState.CANCELLED: "magenta",
    JobState.COMPLETED: "green",
    JobState.DISCARDED: "red",
    JobState.RETRYABLE: "yellow",
    JobState.RUNNING: "bold blue",
    JobState.SCHEDULED: "cyan",
}
COLUMNS = ("id", "kind", "priority", "state", "attempt", "what happened last")


class PlainView:
    """One line for each thing that happens."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left to do."""

    def tell(self, line: Line) -> None:
        """Say what happened."""
        self.say(self._stamped(line))

    def say(self, text: str) -> None:
        """Say anything."""
        click.echo(printable(text))

    def show(self, board: Board) -> None:
        """Nothing but what happens is told here."""

    def _stamped(self, line: Line) -> str:
        return f"{time.monotonic() - self._started:5.1f}s  {line}"


class LiveView(PlainView):
    """The same lines, and below them a table of all jobs that follows the rows."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, refresh_per_second=10)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def tell(self, line: Line) -> None:
        self._console.print(
            Text(printable(self._stamped(line)), style=STYLES.get(line.row.state, ""))
        )

    def say(self, text: str) -> None:
        self._console.print(Text(printable(text), style="bold"))

    def show(self, board: Board) -> None:
        """Bring the table up to date."""
        table = Table(title="river_job", expand=True)
        for column in COLUMNS:
            table.add_column(column)
        for entry in board.entries.values():
            table.add_row(*_cells(entry))
        self._live.update(table)


def _cells(entry: Entry) -> list[Text]:
    row = entry.row
    state = Text(row.state, style=STYLES.get(row.state, ""))
    attempt = f"{row.attempt} of {row.max_attempts}"
    others = [Text(printable(text)) for text in (str(row.id), row.kind, str(row.priority))]
    return [*others, state, Text(attempt), Text(printable(entry.last))]
