# One target each: setup, demo, test, lint, bench, eval.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.fimls-installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(STAMP): pyproject.toml
	@echo "== Installing fimls into $(VENV) (the first time compiles llama.cpp: about 5 minutes on two cores)"
	@$(PYTHON) -m venv $(VENV) || { echo "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

setup: $(STAMP)  ## install everything into .venv

lint: $(STAMP)  ## types, lint, format, import contracts
	$(BIN)/mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(STAMP)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(STAMP)  ## fetch the default model if it is missing, run every test
	$(BIN)/python -m pytest
