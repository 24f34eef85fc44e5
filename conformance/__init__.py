"""The program by which River's cross-language conformance tests drive riverrun.

    python -m conformance.adapter

It reads requests from standard input and answers on standard output, one JSON object a line, and does
with riverrun's public API what a program of a user's could do. It is no part of the package.
"""
