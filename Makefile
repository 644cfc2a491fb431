# What there is to do here. `make` alone lists it. Everything is installed in .venv, nothing elsewhere.

PYTHON ?= python3
ARGS ?=
# One more than there are processors: tests wait for servers, too.
WORKERS ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 1)))
# For make chaos, soak and fuzz: how long, where; and which run of chaos (a new one unless said).
ROUNDS ?= 500
MINUTES ?= 60
CASES ?= 20000
DATABASE ?= sqlite postgresql
SEED ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq --no-deps
LOCKED := $(PIP) --require-hashes --requirement
EDITABLE := $(PIP) --no-index --no-build-isolation --editable .
LOCK := uv pip compile pyproject.toml --extra local --group weights --group build \
	--universal --python-version 3.11 --generate-hashes --quiet \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help setup run dev-setup test chaos fuzz bench soak check format cover docs lock build clean

help:  ## List what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## Install askonce into .venv; gives .venv/bin/askonce

run: setup  ## Serve on 127.0.0.1:8000 (settings come from the environment or .env)
	@exec $(BIN)/askonce serve

dev-setup: $(VENV)/.installed-dev  ## Install what tests and checks need too

test: dev-setup  ## Run the tests on all processors; some of them with ARGS="-k cache"
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

chaos: dev-setup  ## Kill and freeze real processes, then audit; ROUNDS=500 SEED=1 DATABASE=sqlite
	@for database in $(DATABASE); do \
		$(BIN)/python -m tests.chaos --database $$database --rounds $(ROUNDS) \
			$(if $(SEED),--seed $(SEED)) $(ARGS) || exit 1; \
	done

fuzz: dev-setup  ## Send what OpenAPI allows and what it does not; CASES=20000 DATABASE=sqlite
	@for database in $(DATABASE); do \
		$(BIN)/python -m tests.fuzz --database $$database --cases $(CASES) $(ARGS) || exit 1; \
	done

bench: dev-setup  ## Measure rates, times and costs; some of it with ARGS="--only hits --quick"
	@$(BIN)/python -m benchmarks $(ARGS)

soak: dev-setup  ## Put a mixed load on for long and see that nothing grows; MINUTES=60 DATABASE=sqlite
	@for database in $(DATABASE); do \
		$(BIN)/python -m benchmarks.soak --database $$database --minutes $(MINUTES) || exit 1; \
	done

check: dev-setup  ## Check format, lint, types, layers, security and migrations
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src migrations
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT \
		&& export ASKONCE_DATABASE_URL="sqlite:///$$scratch/check.db" \
		&& echo "$(BIN)/alembic check" \
		&& $(BIN)/alembic upgrade head && $(BIN)/alembic check

format: dev-setup  ## Rewrite the code as the linter wants it
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

cover: dev-setup  ## Run the tests and show which lines they miss
	@$(BIN)/pytest --cov --cov-report=term --cov-report=html $(ARGS)

docs: dev-setup  ## Make a site of docs/ in build/docs; a link that leads nowhere stops it
	@$(BIN)/python -m docs.settings
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --builder dirhtml docs build/docs

lock: $(BIN)/pip  ## Write the lock files anew; newest versions with ARGS=--upgrade
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT \
		&& $(PYTHON) -m venv "$$scratch" \
		&& uv=$$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["lock"])') \
		&& "$$scratch/bin/pip" install --quiet --disable-pip-version-check "$$uv" \
		&& export PATH="$$scratch/bin:$$PATH" \
		&& $(LOCK) $(ARGS) --output-file requirements.lock >/dev/null \
		&& $(LOCK) $(ARGS) --extra otel --group dev --constraint requirements.lock \
			--output-file requirements-dev.lock >/dev/null

build: dev-setup  ## Build the wheel and the source archive into dist/
	@$(BIN)/python -m build --no-isolation

clean:  ## Remove what builds and checks left; .venv and databases stay
	rm -rf build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find src tests migrations benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'askonce needs Python 3.11 or newer (Debian: apt-get install python3 python3-venv); another one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "askonce needs Python's venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/pip
	@echo 'Installing askonce into $(VENV) ...'
	@$(LOCKED) requirements.lock
	@$(EDITABLE)
	@$(BIN)/python -c 'import xllamacpp' 2>/dev/null || \
		echo 'The embedded model cannot be loaded here (Debian: apt-get install libgomp1). Claude and OpenAI work.' >&2
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo 'Installing the tools for tests and checks into $(VENV) ...'
	@$(LOCKED) requirements-dev.lock
	@touch $@
