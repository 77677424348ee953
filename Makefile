# EdgeBit: two commands do all the set-up. `make demo` shows the tool, `make test` checks it.
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
C_FILES = $(shell git ls-files 'runtime_c/*.c' 'runtime_c/*.h' 'boards/*.c' 'edgebit/*.c' 2>/dev/null)

.PHONY: help demo test test-all lint types unit format bench-peers bench-decoder clean

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: $(VENV)/.run ## compile a trained net, run it on emulated boards, prove every byte (no hardware needed)
	$(BIN)/edgebit demo

test: lint types unit ## everything CI checks: style, types, tests

lint: $(VENV)/.dev ## ruff and clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(if $(C_FILES),$(BIN)/clang-format --dry-run --Werror $(C_FILES))

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

unit: $(VENV)/.dev ## the test suite
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

test-all: $(VENV)/.dev ## the test suite with the slow tests that `make test` leaves out
	EDGEBIT_ALL_TESTS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

format: $(VENV)/.dev ## rewrite the sources in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_FILES)

bench-peers: $(VENV)/.dev ## time our kernels on this machine against ggml's, which is built aside the first time
	$(BIN)/python tests/tools/bench_peers.py

bench-decoder: $(VENV)/.dev ## time a language model of 2 billion weights against llama.cpp's (8 GB of files, half an hour)
	$(BIN)/python tests/tools/bench_decoder.py

clean: ## remove what was built, keep the virtual environment
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "EdgeBit needs Python 3.11 or newer; none was found (set PYTHON=...)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); $(PYTHON) -m pip install --quiet --user virtualenv \
		&& $(PYTHON) -m virtualenv --quiet $(VENV); } || { echo "could not make a virtual environment in $(VENV)"; exit 1; }

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "installing EdgeBit and what it runs on into $(VENV) ..."
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing EdgeBit and its test tools into $(VENV) ..."
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.run
