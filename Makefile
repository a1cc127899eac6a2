# Hivelog's commands. Each creates `.venv` by itself, from the lock file; nothing else is needed
# than Python 3.11 or newer. `make help` lists them.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# As many as CI has cores: with more, processes that tests start miss their time limits.
PYTEST_ARGS ?= -n 2 --dist load --maxschedchunk 1
# These hold the product to fractions of a second, and so have the machine for themselves.
ALONE := tests/test_misbehaving.py tests/test_overload.py tests/test_sealing_lag.py tests/test_source.py
BROWSER_ALONE := tests/browser/test_flood.py

.DEFAULT_GOAL := help
.PHONY: help demo up test browser chromium screenshots check style types imports format bench chaos overload model soak schema lock clean

demo: $(READY) ## Real work flowing through a live page, until Ctrl-C
	@$(BIN)/hivelog demo

up: $(READY) ## Server and a worker on this machine, with PostgreSQL and Valkey built in
	@$(BIN)/hivelog up

test: $(READY) ## Every check, then every test
	@$(MAKE) --no-print-directory -j 4 check chromium
	@$(BIN)/pytest $(PYTEST_ARGS) $(addprefix --ignore=,$(ALONE))
	@$(BIN)/pytest $(ALONE)
	@$(MAKE) --no-print-directory browser

browser: $(READY) chromium ## The dashboard clicked through in a real Chromium (part of make test)
	@$(BIN)/pytest tests/browser $(PYTEST_ARGS) $(addprefix --ignore=,$(BROWSER_ALONE))
	@$(BIN)/pytest $(BROWSER_ALONE)

chromium:
	@bash deploy/install-chromium.sh

screenshots: $(READY) chromium ## Pictures of every page: desktop and phone, light and dark, full and empty, into docs/img
	@PYTHONPATH=tests $(BIN)/python -m tests.browser.screenshots

check: style types imports ## Style, types and the direction of imports

style: $(READY)
	@$(BIN)/ruff check .

types: $(READY)
	@$(BIN)/mypy

imports: $(READY)
	@$(BIN)/lint-imports --no-logo

format: $(READY) ## Sort imports and fix what ruff can fix by itself
	@$(BIN)/ruff check --fix .

bench: $(READY) ## Measure against PgQueuer and Graphile Worker; writes bench.json
	@$(BIN)/python -m tests.bench

chaos: $(READY) ## Ten minutes of faults under load, then every promise checked: CHAOS_SECONDS, CHAOS_SEED
	@$(BIN)/python -m tests.chaos

overload: $(READY) ## Three minutes of flood, then a thousand feed clients, fifty of which never read: OVERLOAD_SECONDS
	@$(BIN)/python -m tests.overload

model: $(READY) ## The protocol simulated for five million steps: MODEL_STEPS, MODEL_SEED
	@$(BIN)/python -m tests.protocol

soak: $(READY) ## An hour of steady load, then an hour of it beside an old snapshot: SOAK_SECONDS, SOAK_RATE
	@$(BIN)/python -m tests.soak

recovery: $(READY) ## How long it takes until things go on after a failure: RECOVERY_ROUNDS, RECOVERY_JOBS
	@$(BIN)/python -m tests.chaos.recovery

schema: $(READY) ## Record the schema that the migrations make, in sql/schema.txt
	@$(BIN)/pytest -q tests/test_schema.py --record-schema

lock: $(READY) ## Renew requirements.lock from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --all-extras \
		--upgrade --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean: ## Remove .venv, caches and build results
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | \
		while IFS=$$'\t' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

$(READY): requirements.lock pyproject.toml deploy/make-venv.sh
	@bash deploy/make-venv.sh $(VENV)
	@touch $@
