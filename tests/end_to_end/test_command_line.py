"""What all commands have in common: help, versions, mistakes and exit codes."""

import platform

import pytest

from riverrun import __version__
from riverrun.cli.main import cli
from tests.end_to_end.conftest import Start

VERSION = f"riverrun version {__version__}\nBuilt with Python {platform.python_version()}\n"
UNREACHABLE = "postgresql://ada:secret@127.0.0.1:1/x"


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
async def test_it_says_which_version_it_is(riverrun: Start, arguments: list[str]) -> None:
    program = await riverrun(*arguments)
    assert await program.exit_code() == 0
    assert program.output == VERSION


async def test_without_arguments_it_explains_itself(riverrun: Start) -> None:
    program = await riverrun()
    assert await program.exit_code() == 0
    assert all(name in program.output for name in cli.commands)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wrok"], "there is no command 'wrok'; did you mean 'work'?"),
        (["version", "--loud"], "No such option '--loud'"),
        (["-v", "version", "--debug"], "--verbose and --debug exclude each other"),
        (["work", "app:client", "--grace", "soon"], "--grace: 'soon' is no duration"),
        (["bench"], "either --database-url or RIVERRUN_DATABASE_URL must be set"),
        (["bench", "--database-url", "jobs.db"], "'jobs.db' is not a database URL"),
        (["demo", "--database-url", "mysql://a:secret@b/c"], "no driver for `mysql`"),
    ],
)
async def test_wrong_usage_exits_with_2(
    riverrun: Start, arguments: list[str], message: str
) -> None:
    program = await riverrun(*arguments)
    assert await program.exit_code() == 2
    errors = await program.errors()
    assert message in errors
    assert "secret" not in errors


@pytest.mark.parametrize("command", ["demo", "bench", "validate"])
async def test_an_unreachable_database_is_one_line(riverrun: Start, command: str) -> None:
    program = await riverrun(command, "--database-url", UNREACHABLE)
    assert await program.exit_code() == 1
    (error,) = (await program.errors()).splitlines()
    assert error.startswith("Error: cannot connect to postgresql://ada:***@127.0.0.1:1/x")


async def test_debug_shows_a_traceback_without_the_password(riverrun: Start) -> None:
    program = await riverrun("--debug", "bench", "--database-url", UNREACHABLE)
    assert await program.exit_code() == 1
    errors = await program.errors()
    assert "Traceback" in errors
    assert "secret" not in errors
