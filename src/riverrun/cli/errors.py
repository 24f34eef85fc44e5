"""How a command fails: one message on stderr, and an exit code that scripts can rely on.

    0  done
    1  it did not work: the database, the program, a job
    2  wrong usage: an unknown command, option or URL

A traceback is shown with `--debug` only. No message holds a password: URLs are redacted where the
message is made.
"""

import traceback
from difflib import get_close_matches
from typing import Any

import click

from riverrun.cli.options import add_verbosity, is_debugging
from riverrun.cli.terminal import printable
from riverrun.model.errors import RiverError

BROKEN_OUTPUT = (BrokenPipeError, click.exceptions.Exit, click.Abort)


class Commands(click.Group):
    """A group whose commands share `--verbose` and `--debug` and fail as described above."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        add_verbosity(cmd)
        super().add_command(cmd, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(_unknown_command(args[0], self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BROKEN_OUTPUT:
            raise
        except Exception as error:  # every failure is told in the same way
            _show_traceback(ctx, error)
            if isinstance(error, click.ClickException):
                raise
            raise click.ClickException(_message(error)) from error


def _unknown_command(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    return f"there is no command {name!r}; {hint}"


def _show_traceback(ctx: click.Context, error: Exception) -> None:
    """With `--debug`: where the error came from, which a mistake in usage need not be told."""
    if is_debugging(ctx) and not isinstance(error, click.UsageError):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)


def _message(error: Exception) -> str:
    text = printable(str(error))
    if isinstance(error, RiverError):
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"
