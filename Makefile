# `make demo` and `make test` do all their own set-up; both need Python 3.11 or later and the package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUTPUT ?= demo-output

.PHONY: demo test lint bench clean
TINY := examples/tiny-qwen2-audio
TASKS := transcribe,caption,emotion
demo: $(VENV)/ready
	$(BIN)/earmark annotate examples/phone-prompts/manifest.jsonl $(OUTPUT)/phone-prompts --task $(TASKS) --model $(TINY),transcribe=whisper-tiny.en
	$(BIN)/earmark annotate examples/scenes/manifest.jsonl $(OUTPUT)/scenes --task $(TASKS) --model $(TINY)
	$(BIN)/python examples/show_answers.py $(OUTPUT)/phone-prompts $(OUTPUT)/scenes

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
