"""What several commands have in common: how much they say, durations, and the database they open."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import click

from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.duration import parse_duration
from riverrun.model.errors import ConfigurationError, ValidationError

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LEVEL = f"{__name__}.level"


class DurationType(click.ParamType):
    """Text such as `30s` or `1m30s`, or a number of seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        try:
            return parse_duration(_number_or_text(str(value)), name=(param and param.name) or "it")
        except ValidationError as error:
            self.fail(str(error), param, ctx)


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


DURATION = DurationType()


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


def set_up_logging() -> None:
    """Log to stderr what was asked for, warnings if nothing was.

    Where the program has set up logging itself, only what it does not say is decided here.
    """
    level: int = click.get_current_context().meta.get(_LEVEL, logging.WARNING)
    logging.basicConfig(level=level, format=LOG_FORMAT)


@contextmanager
def reported_as_usage() -> Iterator[None]:
    """An option that cannot work, such as a URL that is none, is a mistake in usage."""
    try:
        yield
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def database_at(url: str, schema: str | None = None) -> Database:
    """The database at `url`, not yet open."""
    with reported_as_usage():
        return open_database(url, schema=schema)


def _keep_level(level: int) -> Callable[[click.Context, click.Parameter, bool], None]:
    """A callback that remembers the level which its flag asks for."""

    def keep(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value and ctx.meta.setdefault(_LEVEL, level) != level:
            raise click.UsageError("--verbose and --debug exclude each other; give one", ctx)

    return keep
