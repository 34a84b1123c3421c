# One target each: setup, demo, test, lint, bench, eval.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.fimls-installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format docs bench eval

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@echo "== Installing fimls into $(VENV) (the first time compiles llama.cpp: about 8 minutes on two cores)"
	@command -v c++ >/dev/null || { echo "llama.cpp needs a C++ compiler; on Debian: apt-get install build-essential, on macOS: xcode-select --install"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "fimls needs Python 3.10 or newer; say which with make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'
	@touch $@

setup: $(STAMP)  ## install everything into .venv

demo: $(STAMP)  ## fetch the default model and complete three real files in the terminal
	@echo "== Fetching the default model (491 MB, once)"
	@$(BIN)/fimls models pull
	@for place in norm.py:4:5 basket.ts:15:5 stack.go:19:2; do \
		echo; echo "== fimls complete examples/$$place"; \
		$(BIN)/fimls complete "examples/$$place" || exit; \
	done

lint: $(STAMP)  ## types, lint, format, import contracts
	$(BIN)/mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# Against llama-server where there is one: make bench ONLY=go LIMIT=0 PEER=/path/to/llama-server
ONLY ?= python-fractions
PEER ?= $(shell command -v llama-server)
bench: LIMIT = 24
bench: $(STAMP)  ## replay a typing session through LSP, beside llama-server: about two minutes
	$(BIN)/fimls models pull
	$(BIN)/fimls bench replay --only $(ONLY) --limit $(LIMIT) $(if $(PEER),--peer $(PEER)) --json build/replay.json

# Published benchmarks: make eval DATA="HumanEval-SingleLineInfilling.jsonl.gz …" LIMIT=50
DATA ?= examples/infilling.jsonl
LIMIT ?= 12
eval: $(STAMP)  ## fill holes in real programs and execute them: about two minutes
	$(BIN)/fimls models pull
	$(BIN)/fimls eval infilling --data $(DATA) --limit $(LIMIT) --json build/infilling.json

docs: $(STAMP)  ## write the generated parts of the documentation
	$(BIN)/python docs/generate.py

format: $(STAMP)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(STAMP)  ## fetch the default model if it is missing, run every test
	$(BIN)/python -m pytest
