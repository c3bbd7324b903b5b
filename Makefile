# `make demo` or `make test` works as the first command on a machine with Python 3.11+ and make.
# Everything is installed into .venv from pinned, hashed requirements; a second run needs no network.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
JOBS := 4
PIP = $(BIN)/python -m pip --disable-pip-version-check
MYPY_TARGETS := specflow requirements $(wildcard examples tests/typing docs/_ext)
RUFF_TARGETS := specflow tests requirements $(wildcard examples migrations docs)
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
COVERED := specflow/policy specflow.lifecycle specflow/journal specflow/settlement
# Only what the gate looks at is traced: tracing all of it would double the time of the tests.
COVERAGE_OPTIONS = $(if $(ALL),--cov,$(addprefix --cov=,$(COVERED))) --cov-report=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lint types imports cover cover-gate bench nightly docs requirements lowest clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -e 's/:.*## /	/' | expand -t 14

setup: $(VENV)/.ready-dev  ## Make .venv with everything needed to work on specflow

demo: $(VENV)/.ready-demo  ## Run the main job, sequential beside speculative
	@$(BIN)/specflow demo $(ARGS)

test: setup  ## Run the tests (ARGS="..." goes to pytest, COVERAGE=1 measures as it goes)
	$(PYTEST) $(if $(COVERAGE),$(COVERAGE_OPTIONS)) $(ARGS)

check: lint types imports test  ## What a change must pass: format, lint, types, imports, tests (CI adds coverage)

format: setup  ## Put the code into the one format
	$(BIN)/ruff format $(RUFF_TARGETS)
	$(BIN)/ruff check --fix $(RUFF_TARGETS)

lint: setup
	$(BIN)/ruff format --check $(RUFF_TARGETS)
	$(BIN)/ruff check $(RUFF_TARGETS)

types: setup
	$(BIN)/mypy --strict $(MYPY_TARGETS)

imports: setup
	$(BIN)/lint-imports

cover: setup  ## The tests with the coverage gate (ALL=1 measures the whole package)
	$(PYTEST) $(COVERAGE_OPTIONS)
	@$(MAKE) --no-print-directory cover-gate

# What decides about permission and about undoing is covered to the last branch.
cover-gate: setup
	@$(if $(ALL),$(BIN)/coverage report --skip-covered --sort=cover,true)
	$(BIN)/coverage report --include='specflow/policy/*,specflow/lifecycle.py,specflow/journal/*,specflow/settlement/*' \
	    --skip-covered --fail-under=100

bench: setup  ## Measure the ratios on this machine
	$(BIN)/specflow bench $(ARGS)

nightly: setup  ## The long tests and all measurements; results in .nightly/
	@mkdir -p .nightly
	SPECFLOW_NIGHTLY=1 $(PYTEST) --junit-xml=.nightly/tests.xml
	$(BIN)/python tests/nightly/policy_pairs.py --minutes 20
	$(BIN)/python tests/nightly/policy_fuzz.py --minutes 10
	$(BIN)/python tests/nightly/hostile_streams.py --minutes 60
	$(BIN)/python tests/nightly/mutate.py --minutes 60
	$(BIN)/specflow bench --json > .nightly/bench.json

docs: setup  ## Build the documentation into docs/_build/html
	$(BIN)/sphinx-build -n -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

requirements: setup  ## Resolve the pinned requirements again (ARGS=--upgrade for newer versions)
	$(BIN)/python requirements/compile.py $(ARGS)

lowest:  ## Run the tests with the lowest declared versions, in .venv-lowest
	@$(MAKE) --no-print-directory VENV=.venv-lowest REQUIREMENTS=lowest test

clean:  ## Remove what the targets above made, but not .venv
	rm -rf dist build docs/_build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov .coverage .coverage.*

# --- the environment -------------------------------------------------------------------------------

REQUIREMENTS := dev

# The two steps have stamps of their own: a change of pyproject.toml needs no network.
$(VENV)/.ready-dev: $(VENV)/.packages-dev pyproject.toml
	@$(INSTALL_SPECFLOW)
	@touch $@ $(VENV)/.ready-demo

$(VENV)/.ready-demo: $(VENV)/.packages-demo pyproject.toml
	@$(INSTALL_SPECFLOW)
	@touch $@

$(VENV)/.packages-dev: requirements/$(REQUIREMENTS).txt $(BIN)/python
	@echo "installing what specflow and its tests need into $(VENV) (once; a minute or two)"
	@$(PIP) install --quiet --require-hashes -r requirements/$(REQUIREMENTS).txt
	@touch $@ $(VENV)/.packages-demo

$(VENV)/.packages-demo: requirements/demo.txt $(BIN)/python
	@echo "installing what specflow needs into $(VENV) (once; about a minute)"
	@$(PIP) install --quiet --require-hashes -r requirements/demo.txt
	@touch $@

# No index: everything the build needs is in the requirements.
INSTALL_SPECFLOW = $(PIP) install --quiet --no-index --no-deps --no-build-isolation --editable .

# PYTHON=/path/to/python chooses one. `ensurepip` is a package of its own on Debian and Ubuntu.
$(BIN)/python:
	@for candidate in $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3 python; do \
	    if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	        echo "making $(VENV) with $$candidate"; \
	        exec $$candidate -m venv $(VENV); \
	    fi; \
	done; \
	echo "specflow needs Python 3.11 or newer with the venv module, and found none." >&2; \
	echo "Install it (for example: apt-get install python3 python3-venv, or brew install python)," >&2; \
	echo "or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	exit 1
