"""The command: `python -m benchmarks`, with `--peers` for the others and the page in docs/."""

import argparse
import sys
from collections.abc import Callable

from benchmarks import contestants, peers, report, server
from benchmarks.contestants import Contestant, Scenario
from benchmarks.runs import Amount, Measured, measure, say
from benchmarks.table import table
from riverrun.testing.postgres import postgres_server


def main() -> None:
    """Measure, print tables, and with peers write the page."""
    options = _options()
    takers = _takers(options)
    amount = Amount(
        burst=options.jobs or None, sustained=options.sustained, latency=options.latency or None
    )
    found: dict[Scenario, list[Measured]] = {}
    with postgres_server() as url:
        postgres = server.version(url)
        for scenario in Scenario:
            if measured := measure(url, takers, scenario, amount, options.rounds):
                found[scenario] = measured
    for scenario, measured in found.items():
        say(f"\n{report.TITLES[scenario]}\n\n{table(scenario, measured)}")
    if options.peers and not options.no_write:
        report.write(found, postgres, options.rounds)
        say(f"\nwritten to {report.PAGE} and {report.PICTURE}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000, help="of a burst; 0 for none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sustained", metavar="DURATION", help="also sustained work, such as 60s")
    parser.add_argument("--latency", type=int, default=0, metavar="JOBS", help="also latency")
    parser.add_argument("--peers", action="store_true", help="others too, and write the page")
    parser.add_argument("--no-write", action="store_true", help="leave the page as it is")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these contestants alone")
    return parser.parse_args()


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
    makers: list[tuple[str, Callable[[], None], Callable[[], Contestant]]] = [
        ("Go River", peers.build_go, contestants.go_river),
        ("pgqueuer", lambda: peers.install("pgqueuer"), contestants.pgqueuer),
        ("procrastinate", lambda: peers.install("procrastinate"), contestants.procrastinate),
    ]
    for name, make_ready, contestant in makers:
        try:
            make_ready()
        except peers.UnavailableError as error:
            say(f"{name} is left out: {error}")
        else:
            able.append(contestant())
    return able


if __name__ == "__main__":
    main()
