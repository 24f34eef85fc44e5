"""Where `make interop` has put the program in Go. Without it nothing here is collected."""

import os
from pathlib import Path

VARIABLE = "RIVERRUN_GO_RIVER"
GO_RIVER = Path(os.environ.get(VARIABLE, ""))


def is_there() -> bool:
    """Whether this is `make interop`; then a program that is missing is an error."""
    if VARIABLE not in os.environ:
        return False
    if not GO_RIVER.is_file():
        raise FileNotFoundError(
            f"{VARIABLE} names {GO_RIVER}, which is no file: make interop builds it"
        )
    return True
