# Two commands for a newcomer: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test slow bench bench-long check docs clean

demo: $(VENV)/.installed
	$(BIN)/evonas run ga

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "not slow and not gpu"

slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m "slow and not gpu"

# One JSON line a figure, on a machine that does nothing else: within 12 minutes on two cores, on digits and noise.
bench: $(VENV)/.installed-test
	for name in supernet_step population loading growth startup overhead; do \
	    $(BIN)/python tests/benchmarks/$$name.py || exit 1; done

# What takes more than an hour, and CIFAR-10: make bench-long BENCH_DATA=DIR.
bench-long: $(VENV)/.installed-test
	@test -n "$(BENCH_DATA)" || { echo "bench-long needs CIFAR-10: make bench-long BENCH_DATA=DIR" >&2; exit 2; }
	$(BIN)/python tests/benchmarks/population.py --layers 6 12 20
	$(BIN)/python tests/benchmarks/overhead.py --cifar10 "$(BENCH_DATA)"
	$(BIN)/python tests/benchmarks/ranking.py --data-dir "$(BENCH_DATA)"

# What CI runs.
check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

# The site, in site/; a warning is an error.
docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs build --strict

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.installed-test $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
