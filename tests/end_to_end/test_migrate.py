"""The schema commands as a deployment uses them."""

from tests.end_to_end.conftest import Start


async def test_a_schema_goes_up_is_valid_and_goes_down(
    riverrun: Start, empty_database_url: str
) -> None:
    async def run(*arguments: str) -> tuple[int, str]:
        program = await riverrun(*arguments, "--database-url", empty_database_url)
        return await program.exit_code(), program.output

    code, output = await run("migrate-up")
    assert code == 0
    assert "applied migration 008 [up]" in output
    assert (await run("validate"))[0] == 0
    assert await run("migrate-up") == (0, "no migrations to apply\n")
    assert "* 008" in (await run("migrate-list"))[1]
    assert "applied migration 008 [down]" in (await run("migrate-down"))[1]
    assert (await run("validate"))[0] == 1
