"""riverrun beside others, on one PostgreSQL made for it: `python -m benchmarks`.

contestants.py    who takes part, and how each is run
programs/         one small program for each that has no benchmark of its own
peers.py          the Python environment of the others, and Go's program
server.py         the server, and a fresh database for each run
runs.py           the runs, in alternation
results.py        what was measured, kept in docs/performance.json
table.py          medians and ratios as a table
chart.py          the same as a picture
report.py         puts both into docs/performance.md
"""
