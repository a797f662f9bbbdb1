# Set-up is part of every target: a bare machine needs python 3.11 or later, pip, make and git.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := src tests benchmarks tools .ci

# Idle OpenMP threads must not spin on a busy machine; torch reads this when it is imported.
export OMP_WAIT_POLICY ?= PASSIVE
export GOMP_SPINCOUNT ?= 0

# Processes that run tests at the same time. Tests of one file share fixtures and stay together.
# In the order of the folders: by the number of their tests, the longest files would come last, one process waiting.
TEST_PROCESSES ?= 2

# How many damaged inputs of each kind `make fuzz` makes, and after how many seconds it ends, whatever is left.
FUZZ_COUNT ?= 2000
FUZZ_SECONDS ?= 1200

# The interpreter of `make gpu`, with a build of torch for CUDA in it, and within how many minutes it ends.
GPU_PYTHON ?= $(BIN)/python
GPU_MINUTES ?= 13

# Where the weights of scorers go that come out of other projects' packages.
SCORERS ?= .scorers

# A scene of the toy world that no training has seen.
DEMO_SEED ?= 2000000007

.PHONY: help demo scorers test test-slow test-services fuzz lint types imports check bench gpu format map clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

demo: .venv/base.stamp ## set up, then make a clip of a picture and a sentence: out/demo.mp4
	@mkdir -p out
	$(BIN)/mova toyworld prompt --seed $(DEMO_SEED) --image out/demo.png > out/demo.txt
	$(BIN)/mova generate --prompt "$$(cat out/demo.txt)" --image out/demo.png --seed 1 --output out/demo.mp4
	@echo "prompt: $$(cat out/demo.txt)"
	@echo "first frame: out/demo.png"
	@echo "clip: out/demo.mp4"

test: .venv/dev.stamp ## set up, then run the test suite
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

test-slow: .venv/dev.stamp ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-services: .venv/services.stamp ## the tests that need a browser, PostgreSQL or a Ray cluster; what is missing fails
	MOVA_SERVICES=1 $(BIN)/python -m pytest -m services

fuzz: .venv/dev.stamp ## damaged inputs of every kind, for at most 20 minutes
	@files=$$(grep -rl --include='test_*.py' MOVA_FUZZ_COUNT tests) || { echo "no fuzz tests were found" >&2; exit 1; }; \
	MOVA_FUZZ_COUNT=$(FUZZ_COUNT) timeout --signal=INT $(FUZZ_SECONDS) $(BIN)/python -m pytest -x \
		-n $(TEST_PROCESSES) --dist load --timeout $(FUZZ_SECONDS) -m "slow or not slow" $$files || { \
		code=$$?; test $$code -eq 124 && echo "nothing was found in $(FUZZ_SECONDS) seconds" || exit $$code; }

scorers: .venv/dev.stamp ## weights of scorers that need them, out of other packages, 56 MB: SCORERS=.scorers
	$(BIN)/python tools/fetch_scorers.py $(SCORERS)

lint: .venv/dev.stamp ## style and format
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: .venv/dev.stamp ## types, strictly
	$(BIN)/mypy

imports: .venv/dev.stamp ## who may import whom
	$(BIN)/lint-imports

check: lint types imports test ## everything that a change must pass

bench: .venv/base.stamp ## time and memory of `mova generate` on this machine
	$(BIN)/python benchmarks/bench_clip.py

gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),.venv/dev.stamp) ## every figure that needs a GPU, in 13 minutes: GPU_MINUTES=13 GPU_PYTHON=python3
	$(GPU_PYTHON) benchmarks/bench_gpu.py --minutes $(GPU_MINUTES)

format: .venv/dev.stamp ## rewrite the sources in the common style
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

map: .venv/dev.stamp ## rewrite docs/map.md
	$(BIN)/python .ci/file_map.py

clean: ## remove what the other targets made, also the virtual environment
	rm -rf .venv out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than these files exactly when the environment has to be brought up to date.
.venv/base.stamp: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install -c constraints.txt -e .
	@touch $@

.venv/dev.stamp: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ .venv/base.stamp

.venv/services.stamp: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install -c constraints.txt -e '.[dev,ray]'
	@touch $@ .venv/dev.stamp .venv/base.stamp

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "python 3.11 or later is needed; none of python3, python3.13 ... python3.11 is one" >&2; exit 1; }
	$(PYTHON) -m venv .venv
