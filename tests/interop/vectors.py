"""Unique jobs: options that make one, pairs that differ in one thing, and args of every sort."""

import random
from typing import Any

Job = dict[str, Any]

ARGS: Job = {
    "text": "Zoë <z@example.com> & co \u2028 \U0001f600",
    "number": 0.1,
    "whole": 2**53 + 1,
    "flag": True,
    "names": ["b", "a", ""],
    "nested": {"z": 1, "a": {"y": [1.5, None], "b": '\\ " \t'}, "B": {}},
}
HOUR = 3600
LATE, LATER = "2100-01-01T00:59:59.999999+00:00", "2100-01-01T01:00:00+00:00"
LIVE = ["available", "pending", "running", "scheduled"]


def a_value(*, kind: str = "interop_values", args: Job = ARGS, **options: Any) -> Job:
    return {"kind": kind, "args": args, **options}


OPTIONS: list[Job] = [
    {"by_args": True},
    {"by_queue": True},
    {"by_period": 7 * 24 * HOUR},
    {"by_state": [*LIVE, "retryable"]},
    {"by_args": True, "by_queue": True},
    {"by_args": True, "exclude_kind": True},
    {
        "by_args": True,
        "by_period": 365 * 24 * HOUR,
        "by_queue": True,
        "by_state": [*LIVE, "completed"],
        "exclude_kind": True,
    },
]


def neighbours(unique: Job, first: Job, second: Job) -> tuple[Job, Job]:
    """Two jobs with these unique options that differ in what `first` and `second` say."""
    return a_value(unique=unique, **first), a_value(unique=unique, **second)


A_TASK: Job = {"kind": "interop_task", "args": {"do": "complete", "note": ""}}
NEIGHBOURS: list[tuple[Job, Job]] = [
    neighbours({"by_args": True}, {}, {"args": {**ARGS, "whole": 2**53}}),
    neighbours({"by_args": True}, {}, {"args": {**ARGS, "nested": {"a": 1}}}),
    neighbours({"by_queue": True}, {"queue": "here"}, {"queue": "there"}),
    neighbours({"by_period": HOUR}, {"scheduled_at": LATE}, {"scheduled_at": LATER}),
    neighbours({"by_queue": True}, {}, A_TASK),
    (a_value(unique={"by_args": True}), a_value(unique={"by_args": True, "by_queue": True})),
    (a_value(unique={"by_args": True}), a_value()),
]

CHARACTERS = "aZ09 \"\\/<>&'\u0001\t\n\u007f\u0085é\u2028\u2029\ufeff\uffff\U0001f600"


def values(*, count: int) -> list[Job]:
    """Args of every sort, the same in each run and none like another."""
    dice = random.Random(20)  # noqa: S311 - no secret
    return [a_value(args=args(dice, number), unique={"by_args": True}) for number in range(count)]


def args(dice: random.Random, number: int) -> Job:
    return {
        "text": f"{number}{text(dice)}",
        "number": a_float(dice),
        "whole": dice.randint(-(2**63), 2**63 - 1),
        "flag": dice.random() < 0.5,
        "names": [text(dice) for _ in range(dice.randrange(3))],
        "nested": {text(dice): dice.choice([1, "x", None, True, [], {}]) for _ in range(3)},
    }


def text(dice: random.Random) -> str:
    return "".join(dice.choices(CHARACTERS, k=dice.randrange(6)))


def a_float(dice: random.Random) -> float:
    """Near the limits at which Go changes how it writes a number, among others."""
    return dice.choice([1.0, -0.0, 0.5, 1e-6, 9.99e-7, 1e20, 1e21, 123456789.125]) * dice.choice(
        [1, -1, dice.random()]
    )
