"""The flags that the schema commands share, each checked before anything connects."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from riverrun.drivers.migration import check_line
from riverrun.drivers.url import ENVIRONMENT_VARIABLE, check_schema_name
from riverrun.model.errors import RiverError

Command = TypeVar("Command", bound=Callable[..., Any])
Checked = Callable[[click.Context, click.Parameter, str | None], str | None]


def database_option(command: Command) -> Command:
    """--database-url, or the variable in the environment."""
    option = click.option(
        "--database-url",
        envvar=ENVIRONMENT_VARIABLE,
        metavar="URL",
        help=f"postgres://..., postgresql://... or sqlite://...; or set {ENVIRONMENT_VARIABLE}.",
    )
    return option(command)


def schema_option(command: Command) -> Command:
    """--schema, refused if it could not be one."""
    option = click.option(
        "--schema",
        callback=_refuse(check_schema_name),
        metavar="NAME",
        help="Schema of River's tables; it must exist.",
    )
    return option(command)


def line_option(text: str) -> Callable[[Command], Command]:
    """--line, refused if there is no such line; None where it is not given."""
    return click.option("--line", callback=_refuse(_check_line), metavar="NAME", help=text)


def walk_options(target: str) -> Callable[[Command], Command]:
    """What going up and down have in common; `target` explains --target-version."""

    def decorate(command: Command) -> Command:
        for option in (
            click.option("--show-sql", is_flag=True, help="Print the SQL of each migration."),
            click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
            click.option("--max-steps", type=int, metavar="N", help="At most so many versions."),
            click.option("--target-version", type=int, metavar="N", help=target),
        ):
            command = option(command)
        return command

    return decorate


def versions_option(flag: str, name: str, text: str) -> Callable[[Command], Command]:
    """A flag that takes numbers such as 1,2,3 and may be repeated."""
    return click.option(
        flag, name, multiple=True, callback=_read_versions, metavar="N[,N...]", help=text
    )


def require_url(url: str | None) -> str:
    """The URL; asking for one is wrong usage."""
    if not url:
        raise click.UsageError(f"either --database-url or {ENVIRONMENT_VARIABLE} must be set")
    return url


def _refuse(check: Callable[[str | None], None]) -> Checked:
    """A callback that turns what `check` raises into click's message about wrong usage."""

    def callback(
        context: click.Context, parameter: click.Parameter, value: str | None
    ) -> str | None:
        try:
            check(value)
        except RiverError as error:
            raise click.BadParameter(str(error), context, parameter) from error
        return value

    return callback


def _check_line(line: str | None) -> None:
    if line is not None:
        check_line(line)


def _read_versions(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[int]:
    try:
        return [int(part) for value in values for part in value.split(",")]
    except ValueError:
        message = f"{' '.join(values)!r} is no list of versions such as 1,2,3"
        raise click.BadParameter(message, context, parameter) from None
