# Everything a developer runs. Needs make and Python 3.11 or newer; all else is installed into .venv from
# requirements/, where each file is pinned by hash. A stamp in .venv says what is installed already.

PYTHON ?= python3
PYTEST_ARGS ?=
BENCH_ARGS ?=

BIN := .venv/bin
BENCH_BIN := .venv-bench/bin
INSTALL := -m pip install --quiet --disable-pip-version-check
PINNED := $(INSTALL) --require-hashes --no-deps --requirement
PROJECT := $(INSTALL) --no-deps --no-build-isolation --editable .
LOCK := uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-config --no-emit-index-url --custom-compile-command "make lock"
# The older line of SQLAlchemy lies in a folder that stands before the other packages on the path of a run.
SQLALCHEMY20 := .venv/sqlalchemy20
SQL_TESTS := tests/tenancy tests/db tests/authz tests/contracts

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-sqlalchemy20 test-system check docs bench lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: .venv/demo.stamp ## start the example on loopback, walk through it as a client, print what came back
	$(BIN)/flask-guard demo

serve: .venv/demo.stamp ## start the example and leave it running
	$(BIN)/flask-guard demo --serve

test: .venv/test.stamp test-sqlalchemy20 ## run every test that needs no system package
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not system" $(PYTEST_ARGS)

test-sqlalchemy20: .venv/sqlalchemy20.stamp ## run the tests of what speaks SQL on SQLAlchemy 2.0
	PYTHONPATH=$(SQLALCHEMY20) $(BIN)/python -c 'import sqlalchemy; assert sqlalchemy.__version__.startswith("2.0.")'
	PYTHONPATH=$(SQLALCHEMY20) $(BIN)/python -m pytest -n 2 --dist loadscope -m "not system" $(SQL_TESTS)

test-system: .venv/test.stamp ## run the tests that need system packages; says which could not run, and why
	$(BIN)/python -m pytest -n 2 --dist loadscope -m system -rs $(PYTEST_ARGS)

check: .venv/check.stamp ## style, types, imports between rooms, spelling, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(MAKE) docs

docs: .venv/check.stamp ## build the documentation into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going --quiet -b html docs docs/_build/html

bench: .venv-bench/bench.stamp ## compare with other libraries, in an environment of its own
	$(BENCH_BIN)/python -m bench $(BENCH_ARGS)

lock: ## choose the newest versions that pyproject.toml allows and pin them; needs uv on the path
	$(LOCK) --extra demo --group build -o requirements/demo.txt
	$(LOCK) --all-extras --group build --group test -c requirements/demo.txt -o requirements/test.txt
	$(LOCK) --all-extras --group build --group test --group check --group docs -c requirements/test.txt \
		-o requirements/check.txt
	$(LOCK) --group build --group bench -o requirements/bench.txt
	$(subst pip compile pyproject.toml,pip compile,$(LOCK)) --no-deps --group sqlalchemy20 -o requirements/sqlalchemy20.txt

clean: ## remove the environments and everything that was built
	rm -rf .venv .venv-bench build dist htmlcov docs/_build .coverage .coverage.*
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp adds to the one before it: demo is the quickest to make, check has everything.
.venv/venv.stamp .venv-bench/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(@D)
	@touch $@

.venv/demo.stamp: .venv/venv.stamp requirements/demo.txt pyproject.toml
	$(BIN)/python $(PINNED) requirements/demo.txt
	$(BIN)/python $(PROJECT)
	@touch $@

.venv/test.stamp .venv/check.stamp: .venv/%.stamp: .venv/demo.stamp requirements/%.txt
	$(BIN)/python $(PINNED) requirements/$*.txt
	$(BIN)/python -m pip check --disable-pip-version-check
	@touch $@

.venv/check.stamp: .venv/test.stamp

.venv/sqlalchemy20.stamp: .venv/test.stamp requirements/sqlalchemy20.txt
	rm -rf $(SQLALCHEMY20)
	$(BIN)/python $(PINNED) requirements/sqlalchemy20.txt --target $(SQLALCHEMY20)
	@touch $@

.venv-bench/bench.stamp: .venv-bench/venv.stamp requirements/bench.txt pyproject.toml
	$(BENCH_BIN)/python $(PINNED) requirements/bench.txt
	$(BENCH_BIN)/python $(PROJECT)
	@touch $@
