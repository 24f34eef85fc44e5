"""The simulator of leadership: real clients, in virtual time, on a model of the database, with faults.

How it works. `loop.py` is an event loop whose time jumps to the next timer when nothing is ready, and which
draws from a seed which of the tasks that are ready goes on (`order.py`); `clocks.py` has clocks that go
wrong each in its own way. `server.py` (with `rows.py` and `periodic.py`) is a model of PostgreSQL that knows
the statements of leadership, `database.py` the driver and the network between it and the clients.
`client.py` wires the real elector, maintainer, notifier and services to these; `go_client.py` imitates
River's Go client, weaknesses included. `world.py` puts one of everything together.

What happens in a random run is drawn in `plan.py` and done by `rules.py`; what goes wrong between client and
server stands in `faults.py`, what users' plug-ins do wrong in `hostile.py`. `invariants.py` says what must
hold at every step, and where that is seen; `bounds.py` how long anything may take. `test_invariants.py`,
`test_service_invariants.py` and `test_liveness.py` break each of these on purpose, for a check that cannot
fail is none. `test_kernels.py` goes through all orders of the few steps that matter most (`kernels.py`), and
`test_findings.py` keeps what was found.

How to run it: `python -m tests.simulation.run --seeds 10000` (run.py has more) prints each seed that fails.
How to replay one: `--seed N` makes the same run again, step by step, and shows its log; `--shrink` leaves out
of it first whatever it takes not to fail. The same seed is the same run on any machine and in any process:
nothing in here asks the time, the system's randomness, or in which order a set of strings is.

How to add a fault. One between a client and the server: a member of `Do` in faults.py, and what it does in
`_suffer` in database.py; runs draw it from then on. Anything else: a method of `Rules` in rules.py that does
it, at once, and a line in plan.py that draws its name and arguments; what has to be mended at the end of a
run is mended in `_mend`. `test_simulation.py` wants to see that each of them happens. Other draws shift then,
so seeds that failed before have to be kept as plans or, better, as tests of their own.

How to write a scenario: see world.py, and tests/support/virtual.py for the decorator.
"""
