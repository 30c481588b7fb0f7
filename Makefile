# `make demo` and `make test` each set up everything they need; only Python 3.11 or newer, git and make must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO ?= demo

.DEFAULT_GOAL := help
.PHONY: help setup demo check test test-faults bench bench-train docs sbom build clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

setup: $(INSTALLED) ## make .venv with the pinned dependencies and the project, editable

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "$(PYTHON) is older than Python 3.11; name a newer one with PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	@touch $@

demo: $(INSTALLED) ## draw a small archive in ./demo and run the whole job on it
	$(BIN)/geotag demo $(DEMO)

check: $(INSTALLED) ## lint, formatting, types, import directions, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.audit

test: $(INSTALLED) ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4

test-faults: $(INSTALLED) ## inject every fault into the installed job and write docs/reliability.md
	$(BIN)/python -m tests.faults

bench: $(INSTALLED) ## measure everything (a quarter of an hour) and write docs/performance.md
	$(BIN)/python -m benchmarks

bench-train: $(INSTALLED) ## measure training at the paper's scale (GEOTAG_SHARED names the folder of its labels)
	$(BIN)/python -m benchmarks.training

docs: $(INSTALLED) ## write README's command section from --help, docs/views.md from the SQL
	$(BIN)/python -m tests.readme_commands
	$(BIN)/python -m tests.views_page

sbom: $(INSTALLED) ## write sbom.cdx.json, the bill of materials of the pinned versions
	$(BIN)/python -m tests.sbom

build: $(INSTALLED) ## the wheel, in dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## remove everything that can be made again
	rm -rf $(VENV) build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
