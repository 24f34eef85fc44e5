"""What `riverrun work` says about a MODULE:CLIENT that does not lead to a client."""

import pytest

from tests.end_to_end.conftest import Start

ANYWHERE = "sqlite://:memory:"


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("app", 2, "'app' is not of the form MODULE:CLIENT"),
        ("ap:client", 2, "there is no module 'ap'"),
        ("app:cliemt", 2, "module 'app' has no 'cliemt'; its clients: client"),
        ("app:not_a_client", 2, "app:not_a_client is a str; give a Client"),
        ("broken_app:client", 1, "importing broken_app failed: RuntimeError: no settings"),
        ("app:make_client_without_queues", 1, 'queues={"default": 10}'),
    ],
)
async def test_it_says_what_is_wrong_and_with_which(
    riverrun: Start, target: str, code: int, message: str
) -> None:
    program = await riverrun("work", target, APP_DATABASE_URL=ANYWHERE)
    assert await program.exit_code() == code
    errors = await program.errors()
    assert message in errors
    assert "Traceback" not in errors


async def test_debug_shows_where_the_program_failed(riverrun: Start) -> None:
    program = await riverrun("work", "broken_app:client", "--debug")
    assert await program.exit_code() == 1
    assert 'raise RuntimeError("no settings")' in await program.errors()
