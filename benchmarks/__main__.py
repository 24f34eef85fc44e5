"""Runs riverrun beside others, `--peers`, or beside plain statements, and writes docs/performance.md."""

import argparse
import sys
from collections.abc import Callable

from benchmarks import contestants, peers, report, server
from benchmarks.contestants import Contestant, Scenario
from benchmarks.runs import Amount, Measured, measure, say
from benchmarks.table import table
from riverrun.testing.postgres import postgres_server

WITH_PEERS = (Scenario.BURST, Scenario.SUSTAINED, Scenario.LATENCY)
"""What the page shows with the others, or as it was."""


def main() -> None:
    """Measure, print tables, and write what the page shows."""
    options = _options()
    takers, amount = _takers(options), _amount(options)
    found: dict[Scenario, list[Measured]] = {}
    with postgres_server() as url:
        postgres = server.version(url)
        for scenario in Scenario:
            if measured := measure(url, takers, scenario, amount, options.rounds):
                found[scenario] = measured
    for scenario, measured in found.items():
        say(f"\n{report.TITLES[scenario]}\n\n{table(scenario, measured)}")
    if shown := {each: rows for each, rows in found.items() if _is_for_the_page(each, options)}:
        report.write(shown, postgres, options.rounds)
        say(f"\nwritten to {report.PAGE} and {report.PICTURE}")


def _amount(options: argparse.Namespace) -> Amount:
    return Amount(
        burst=options.jobs or None,
        sustained=options.sustained,
        latency=options.latency,
        processes=options.processes,
        insert=options.inserts,
        sqlite=options.sqlite,
        claim=options.big_table,
        memory=options.memory,
    )


def _is_for_the_page(scenario: Scenario, options: argparse.Namespace) -> bool:
    """Not what was measured with some of those alone that its table holds."""
    if options.only or options.no_write:
        return False
    return options.peers or scenario not in WITH_PEERS


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000, help="of a burst; 0 for none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sustained", metavar="DURATION", help="also sustained work, such as 60s")
    _also(parser, "--latency", 200, "latency")
    _also(parser, "--processes", 100_000, "two worker processes beside one")
    _also(parser, "--inserts", 50_000, "inserts beside plain statements; a tenth one by one")
    _also(parser, "--sqlite", 50_000, "work on SQLite beside a raw loop")
    _also(parser, "--big-table", 5_000_000, "claims beside so many finished jobs; takes minutes")
    _also(parser, "--memory", 200_000, "the memory of a process that works so many")
    parser.add_argument("--peers", action="store_true", help="others too")
    parser.add_argument("--no-write", action="store_true", help="leave the page as it is")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these alone; writes nothing")
    return parser.parse_args()


def _also(parser: argparse.ArgumentParser, name: str, usual: int, what: str) -> None:
    """An option that asks for another scenario, of so many jobs where it has no number."""
    text = f"also {what} ({usual:,} if no number is given)"
    parser.add_argument(name, type=int, nargs="?", const=usual, metavar="JOBS", help=text)


def _takers(options: argparse.Namespace) -> list[Contestant]:
    """Those that take part; who cannot is named."""
    takers = contestants.ours()
    if options.peers:
        takers += _peers()
    if not options.only:
        return takers
    if unknown := set(options.only) - {each.name for each in takers}:
        sys.exit(f"nobody is called {', '.join(sorted(unknown))}")
    return [each for each in takers if each.name in options.only]


def _peers() -> list[Contestant]:
    able: list[Contestant] = []
    makers: list[tuple[str, Callable[[], None], list[Contestant]]] = [
        ("Go River", peers.build_go, contestants.go_river()),
        ("pgqueuer", lambda: peers.install("pgqueuer"), [contestants.pgqueuer()]),
        ("procrastinate", lambda: peers.install("procrastinate"), [contestants.procrastinate()]),
    ]
    for name, make_ready, made in makers:
        try:
            make_ready()
        except peers.UnavailableError as error:
            say(f"{name} is left out: {error}")
        else:
            able += made
    return able


if __name__ == "__main__":
    main()
