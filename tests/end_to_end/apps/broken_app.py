"""A program that cannot be imported."""

raise RuntimeError("no settings")
