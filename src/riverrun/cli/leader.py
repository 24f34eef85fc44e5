"""`riverrun leader`: who leads, since when, and until when; and ask it to step down."""

import sys

import click

from riverrun.cli.migrate_options import database_option, schema_option
from riverrun.cli.nouns import age, ask, json_option, print_json, print_table
from riverrun.cli.terminal import printable
from riverrun.client.client import Client
from riverrun.client.leadership_snapshot import Leader

COLUMNS = ("LEADER", "ELECTED", "EXPIRES")


@click.command("leader")
@database_option
@schema_option
@json_option
@click.option("--resign", is_flag=True, help="Ask whoever leads to step down; do not wait for it.")
def leader(*, database_url: str | None, schema: str | None, as_json: bool, resign: bool) -> None:
    """Say which client leads, and so does the maintenance; exit code 1 if none does.

    A leader that is asked to resign lets its maintenance end first, and then another one leads; the
    same one again if it is alone. One that only polls does not hear it.
    """

    async def look(client: Client) -> Leader | None:
        found = await client.get_leader()
        if resign and found is not None:
            await client.request_resign()
        return found

    found = ask(database_url, schema, look)
    if as_json:
        print_json({"leader": found, "asked_to_resign": resign and found is not None})
    elif found is not None:
        _say(found, resign)
    if found is None:
        click.echo("nobody leads", err=True)
        sys.exit(1)


def _say(found: Leader, resign: bool) -> None:
    print_table(COLUMNS, [(found.leader_id, age(found.since), age(found.expires_at))])
    if resign:
        click.echo(f"asked {printable(found.leader_id)} to resign")
