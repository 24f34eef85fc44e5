"""Which database a scenario is for, where it is not for both."""

import pytest

only_postgres = pytest.mark.parametrize("place", ["postgres"], indirect=True)
only_sqlite = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
