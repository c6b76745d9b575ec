# Each target sets itself up: its own virtual environment in .venv, with the versions in constraints.txt.
# Nothing here does more than what can be typed by hand.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

# Otherwise every start compiles the framework anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check docs clean

help:
	@echo "make demo    train CartPole with two samplers, and evaluate it"
	@echo "make test    run the tests"
	@echo "make check   formatting, types, and whether the generated documentation is current"
	@echo "make docs    generate the reference documentation"
	@echo "make clean   remove the virtual environment and all caches"

demo: .venv/installed
	$(BIN)/framework run examples/cartpole.toml

test: .venv/installed-dev
	$(BIN)/python -m pytest --numprocesses 2

check: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

docs: .venv/installed-dev
	$(BIN)/python docs/generate.py

clean:
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find framework plugins tests docs benchmarks -name __pycache__ -prune -exec rm -rf {} +

.venv/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@echo "setting up .venv (once)"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt
	@$(INSTALL) .
	@touch $@

.venv/installed-dev: .venv/python pyproject.toml constraints.txt
	@$(INSTALL) ".[dev]"
	@touch $@ .venv/installed
