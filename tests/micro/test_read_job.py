"""A row of either database to a `JobRow`."""

from pytest_benchmark.fixture import BenchmarkFixture

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.rows import job_reader
from tests.micro.rows import NOW, postgres_row, sqlite_row


def test_read_job_of_postgres(benchmark: BenchmarkFixture) -> None:
    read = job_reader(Dialect("postgres", "$"))
    assert benchmark(read, postgres_row()).attempted_at == NOW


def test_read_job_of_sqlite(benchmark: BenchmarkFixture) -> None:
    read = job_reader(Dialect("sqlite", "?"))
    assert benchmark(read, sqlite_row()).attempted_at == NOW
