# `make demo` and `make test` do all their own set-up; both need Python 3.11 or later and the package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUTPUT ?= demo-output

.PHONY: demo test lint bench clean
demo: $(VENV)/ready
	$(BIN)/earmark annotate examples/phone-prompts/manifest.jsonl $(OUTPUT) --model whisper-tiny.en
	$(BIN)/python examples/show_transcripts.py $(OUTPUT)

test: lint
	$(BIN)/python -m pytest --durations=10

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready
	set -e; for bench in $(basename $(notdir $(wildcard tests/bench_*.py))); do $(BIN)/python -m tests.$$bench; done

$(VENV)/ready: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --editable '.[tiny-whisper,test]'
	touch $@

clean:
	rm -rf $(VENV) demo-output *.egg-info
