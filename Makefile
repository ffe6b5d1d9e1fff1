.DEFAULT_GOAL := help
.PHONY: help setup demo test pages lint bench reference lock
SHELL := /bin/sh
BIN := .venv/bin
INSTALLED := .venv/.installed
COMPILED := .venv/.compiled

DURATION ?= 60
SPEED ?=
JSON ?=
QUICK ?=
JOBS ?= 3

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(COMPILED) ## make .venv with every pinned dependency and Brewline in it

demo: $(COMPILED) ## run a simulated chain through everything: DURATION=60 SPEED=... JSON=FILE
	$(BIN)/brewline demo --duration $(DURATION) $(if $(SPEED),--speed $(SPEED)) $(if $(JSON),--json $(JSON))

test: $(INSTALLED) ## lint, then all tests, with Kafka and Redis that the tests start: JOBS=3
	@$(MAKE) --no-print-directory --jobs=2 lint $(COMPILED)
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

pages: $(COMPILED) ## look at every page of the board in a real Chromium, on a demo
	$(BIN)/python -m pytest -m pages tests/board/test_pages.py

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(COMPILED) ## measure throughput and latency: QUICK=1 JSON=FILE
	$(BIN)/python -m benchmarks.throughput $(if $(QUICK),--quick) $(if $(JSON),--json $(JSON))

reference: $(INSTALLED) ## write docs/reference anew from the code
	$(BIN)/python -m brewline.reference

lock: ## pin the dependencies of pyproject.toml anew (needs uv)
	echo 'setuptools>=77' | uv pip compile pyproject.toml - --output-file requirements.lock --upgrade \
	  --universal --python-version 3.10 --all-extras --generate-hashes --quiet \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

# Bytewax has wheels for Python 3.10 to 3.12.
FITS := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))

$(BIN)/python:
	@for python in python3.12 python3.11 python3.10 python3; do \
	  if $$python -c '$(FITS)' >/dev/null 2>&1; then exec $$python -m venv --clear .venv; fi; \
	done; \
	echo 'Brewline needs Python 3.10, 3.11 or 3.12 with venv on PATH (Debian: apt install python3 python3-venv).' >&2; \
	exit 1

$(INSTALLED): requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
	@touch $@

$(COMPILED): $(INSTALLED)
	$(BIN)/python -m brewline.compiled
	@touch $@
