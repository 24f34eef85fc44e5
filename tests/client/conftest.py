import pytest

from riverrun import Workers


@pytest.fixture
def workers() -> Workers:
    return Workers()
