# Each target sets itself up: its own virtual environment in .venv, with the versions in constraints.txt.
# Nothing here does more than what can be typed by hand.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

# The variable leaves out the theme's announcement of another program.
SITE := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# Otherwise every start compiles the framework anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check docs site clean

help:
	@echo "make demo    train CartPole with two samplers, and evaluate it"
	@echo "make test    run the tests"
	@echo "make check   formatting, types, and whether the documentation is current and its links lead somewhere"
	@echo "make docs    generate the reference documentation"
	@echo "make site    build the documentation as a site, in site/"
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
	$(SITE)

docs: .venv/installed-dev
	$(BIN)/python docs/generate.py

site: .venv/installed-dev
	$(SITE)
	@echo "site/index.html; with search: $(BIN)/python -m http.server --bind 127.0.0.1 --directory site"

clean:
	rm -rf .venv .venv-* site .mypy_cache .pytest_cache .ruff_cache .hypothesis
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
