"""Nothing that a job brings along can play tricks with a terminal."""

import pytest

from riverrun.cli.terminal import printable


@pytest.mark.parametrize("text", ["", "send_mail", "Grüße, 世界"])
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("one\ntwo\r", r"one\ntwo\r"),
        ("\u202egnp", r"\u202egnp"),
        ("\x9b31m", r"\x9b31m"),
    ],
)
def test_what_moves_the_cursor_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
