.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# uv resolves and installs in seconds; pip does the same where uv cannot be had.
INSTALL = if $(BIN)/pip install --quiet --disable-pip-version-check uv; \
	then $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e $(1); \
	else $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e $(1); fi

.PHONY: help run ui test test-fast coverage browser screenshots check format docs reference charting-library benchmark benchmark-first-load benchmark-change benchmark-peers benchmark-warehouses benchmark-queries benchmark-songs constraints clean

help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/installed ## Load everything into the warehouse (simulates a month first if no source is configured)
	$(BIN)/sparkify etl

ui: .venv/installed ## Serve the Dagster UI and its daemon on http://127.0.0.1:3000
	$(BIN)/sparkify ui

test: .venv/installed-dev ## Run every test
	$(BIN)/pytest

test-fast: .venv/installed-dev ## Run the tests that need no server and no browser, and are not slow (two minutes)
	$(BIN)/pytest -m "not slow and not server and not browser"

coverage: .venv/installed-dev ## Run every test and report the branches of the package that none runs
	$(BIN)/pytest --cov --cov-report=term

browser: .venv/installed-dev ## Get the Chromium that the UI's tests need, where there is none
	@$(BIN)/python -m sparkify_dagster_tests.support.browser.install

screenshots: .venv/installed-dev ## Take the documentation's screenshots of the UI again
	$(BIN)/python -m sparkify_dagster_tests.support.browser.screenshots

check: .venv/installed-dev ## Check format, lint, types, layers, SQL and the containers' files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --quiet sparkify_dagster/sql
	$(BIN)/hadolint infrastructure/Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec infrastructure/compose.yaml

format: .venv/installed-dev ## Format the Python and the SQL
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/sqlfluff fix --quiet sparkify_dagster/sql

docs: .venv/installed-dev ## Build the documentation site into docs/_build; warnings and broken links are errors
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going docs docs/_build

charting-library: .venv/installed-dev ## Bundle the charting library of the report again, after an upgrade of vl-convert
	$(BIN)/python -m sparkify_dagster.report.bundle

reference: .venv/installed-dev ## Write the generated pages of the documentation again
	$(BIN)/python -m docs.generate

benchmark: .venv/installed ## Measure what the warehouse costs, as ratios (some minutes)
	$(BIN)/python benchmarks/cost.py

benchmark-first-load: .venv/installed ## Measure the first load of 1 and 14 million events (half an hour)
	$(BIN)/python benchmarks/first_load.py

benchmark-change: .venv/installed ## Measure what nothing new and one new day cost after 10 to 3,650 days (ten minutes)
	$(BIN)/python benchmarks/change.py

benchmark-peers: .venv/installed ## Measure a first load beside a hand-tuned script and dbt-duckdb (an hour)
	$(BIN)/python benchmarks/peers.py

benchmark-warehouses: .venv/installed-dev ## Measure what loading PostgreSQL and Redshift costs (some minutes)
	$(BIN)/python benchmarks/warehouses.py

benchmark-songs: .venv/installed-dev ## Measure 400,000 song files on an S3 server of this machine (half an hour)
	$(BIN)/python benchmarks/many_songs.py songs

benchmark-queries: .venv/installed ## Measure what the analysts' queries cost on ten million plays (some minutes)
	$(BIN)/python benchmarks/queries.py

constraints: .venv/installed ## Resolve the dependencies into constraints.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev --extra production \
		--no-header --no-annotate pyproject.toml --output-file constraints.txt

clean: ## Remove the virtual environment and all local state
	rm -rf .venv .sparkify

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing into .venv ..."
	@$(call INSTALL,.)
	@touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing into .venv ..."
	@$(call INSTALL,'.[dev]')
	@touch $@ .venv/installed
