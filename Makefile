# Everything here needs Python 3.11 or newer, pip and make; it sets itself up in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run chat demo test test-full test-all test-oldest coverage mutants screenshots lint format bench bench-check clean

run: $(VENV)/.example  ## The example service, and the payment service it depends on
	$(BIN)/python -m example_app

chat: $(VENV)/.example  ## A chat that streams tokens, with two providers to be slowed, cut and killed
	$(BIN)/python -m example_app.chat

demo: $(VENV)/.example  ## A failing dependency, with and without breakers, in under a minute
	$(BIN)/python -m example_app.demo

test: $(VENV)/.test  ## All that is logic, in under three minutes; or a part: make test TESTS=tests/core
	$(BIN)/python -m pytest -n auto --ignore tests/integration $(TESTS)

test-full: $(VENV)/.dev  ## All of it: servers, browsers and processes too
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(TESTS)

test-all:  ## The logic and the servers, on every supported Python of this machine
	tools/on-every-python $(MAKE) test-full

test-oldest:  ## What touches FastAPI, Starlette and httpx, with older versions of these
	$(MAKE) .venv-oldest/.test VENV=.venv-oldest
	tools/on-every-framework .venv-oldest/bin/python $(MAKE) test VENV=.venv-oldest TESTS="tests/asgi tests/clients"

coverage: $(VENV)/.dev  ## Lines and branches that `make test` runs; the core is covered entirely
	$(MAKE) test TESTS="--cov --cov-report="
	$(BIN)/coverage report
	$(BIN)/coverage report --include 'breaker_asgi/_core/*' --fail-under 100

mutants: $(VENV)/.mutants  ## Faults put into the core one by one, and the tests that notice them; needs Python 3.12
	$(BIN)/python tools/mutants.py

screenshots: $(VENV)/.dev  ## The pictures of the monitor in docs/images, of a shop that is called for a minute
	$(BIN)/python -m pytest tests/integration/monitor/page/screenshots.py

lint: $(VENV)/.dev  ## Style, and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.bench  ## The costs of a call, a request and a client; or other tables: make bench TABLES=shared
	$(BIN)/python -m benchmarks $(TABLES)

bench-check: $(VENV)/.bench  ## Whole tables of the benchmarks are printed
	$(BIN)/python -m pytest -n 2 tests/integration/benchmark_tables.py

clean:
	rm -rf $(VENV) .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage mutants

# --without-pip: some systems' venv can't bring pip along, but the pip they have can install it.
# And some have no pip, but a venv that brings it along.
$(VENV)/bin/python:
	if $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -m venv --without-pip $(VENV) && \
	    $(PYTHON) -m pip --python $(BIN)/python install --quiet "pip>=25.1"; \
	else $(PYTHON) -m venv $(VENV); fi

$(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	@echo "Installing what the group '$*' of pyproject.toml names into $(VENV)"
	$(BIN)/python -m pip install --quiet "pip>=25.1"
	$(BIN)/python -m pip install --editable . --group $*
	touch $@
