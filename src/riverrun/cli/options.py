"""What several commands have in common: how much they say, durations, and the database they open."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import click

from riverrun.drivers.statement import Database
from riverrun.drivers.url import is_in_memory as url_is_in_memory
from riverrun.drivers.url import open_database
from riverrun.model.duration import parse_duration
from riverrun.model.errors import ConfigurationError, ValidationError

Command = TypeVar("Command", bound=Callable[..., Any])

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LEVEL = f"{__name__}.level"


def duration_option(flag: str, **attributes: Any) -> Callable[[Command], Command]:
    """An option that takes text such as `30s` or `1m30s`, or a number of seconds."""
    return click.option(flag, callback=_read_duration, metavar="DURATION", **attributes)


def add_verbosity(command: click.Command) -> None:
    """Give the command `--verbose` and `--debug`; they count before and after a command's name."""
    command.params += [
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            callback=_keep_level(logging.INFO),
            help="Log what happens.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_keep_level(logging.DEBUG),
            help="Log everything, and show tracebacks.",
        ),
    ]


def is_debugging(ctx: click.Context) -> bool:
    """Whether `--debug` was given."""
    return ctx.meta.get(_LEVEL) == logging.DEBUG


def set_up_logging(log_format: str = LOG_FORMAT) -> None:
    """Log to stderr what was asked for, warnings if nothing was.

    Where the program has set up logging itself, only what it does not say is decided here.
    """
    level: int = click.get_current_context().meta.get(_LEVEL, logging.WARNING)
    logging.basicConfig(level=level, format=log_format)


def database_at(url: str, schema: str | None = None, *, create: bool = True) -> Database:
    """The database at `url`, not yet open. Without `create` no SQLite file is made."""
    with _reported_as_usage():
        return open_database(url, schema=schema, create=create)


def is_in_memory(url: str) -> bool:
    """Whether the database begins empty and is gone at the end."""
    with _reported_as_usage():
        return url_is_in_memory(url)


def _keep_level(level: int) -> Callable[[click.Context, click.Parameter, bool], None]:
    """A callback that remembers the level which its flag asks for."""

    def keep(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value and ctx.meta.setdefault(_LEVEL, level) != level:
            raise click.UsageError("--verbose and --debug exclude each other; give one", ctx)

    return keep


@contextmanager
def _reported_as_usage() -> Generator[None]:
    """An option that cannot work, such as a URL that is none, is a mistake in usage."""
    try:
        yield
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def _read_duration(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> timedelta | None:
    if value is None:
        return None
    try:
        return parse_duration(_number_or_text(value), name=param.opts[0])
    except ValidationError as error:
        raise click.UsageError(str(error), ctx) from error


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
