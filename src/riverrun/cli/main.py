"""The program `riverrun`: every command by its name."""

import platform

import click

import riverrun
from riverrun.cli import migrate
from riverrun.cli.bench import bench
from riverrun.cli.demo import demo
from riverrun.cli.doctor import doctor
from riverrun.cli.errors import Commands
from riverrun.cli.jobs import jobs
from riverrun.cli.leader import leader
from riverrun.cli.options import add_verbosity
from riverrun.cli.queues import queues
from riverrun.cli.work import work


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(
    riverrun.__version__,
    message=f"%(prog)s version %(version)s\nBuilt with Python {platform.python_version()}",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """River's job queue for Python.

    New here? `riverrun demo` needs nothing and shows what it does in ten seconds.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@click.command("version")
def version() -> None:
    """Say which version this is, and of which Python."""
    click.echo(f"riverrun version {riverrun.__version__}")
    click.echo(f"Built with Python {platform.python_version()}")


def main() -> None:
    """Run the program with the arguments of this process, and end it."""
    cli.main(prog_name="riverrun")


add_verbosity(cli)
for command in (demo, work, bench, doctor, jobs, queues, leader, *migrate.commands, version):
    cli.add_command(command)
