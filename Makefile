# `make demo` and `make test` do all their own set-up; both need Python 3.11 or later and the package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUTPUT ?= demo-output

TOOLS := .tools
GO_INSTALL = GOBIN=$(abspath $(TOOLS)/bin) go install

.PHONY: demo test test-flink test-flink-faults test-stores lint bench clean
TINY := examples/tiny-qwen2-audio
TASKS := transcribe,caption,emotion
demo: $(VENV)/ready
	$(BIN)/earmark annotate examples/phone-prompts/manifest.jsonl $(OUTPUT)/phone-prompts --task $(TASKS) --model $(TINY),transcribe=whisper-tiny.en
	$(BIN)/earmark annotate examples/scenes/manifest.jsonl $(OUTPUT)/scenes --task $(TASKS) --model $(TINY)
	$(BIN)/python examples/show_answers.py $(OUTPUT)/phone-prompts $(OUTPUT)/scenes

test: lint
	$(BIN)/python -m pytest --durations=10 -m "not object_store and not flink"

# On object stores' servers; needs Go to build them.
test-stores: $(VENV)/ready $(TOOLS)/bin/versitygw $(TOOLS)/bin/fake-gcs-server
	$(BIN)/python -m pytest --durations=10 -m object_store

# On a Flink cluster of its own, on this machine; needs a JDK, Maven and Go.
FLINK := $(VENV)/ready $(TOOLS)/flink/ready $(TOOLS)/flink-job-server/ready $(TOOLS)/bin/container
test-flink: $(FLINK)
	$(BIN)/python -m pytest -m flink --durations=10

test-flink-faults: $(FLINK)
	set -e; for time in 1 2 3 4 5 6 7 8 9 10; do $(BIN)/python -m pytest tests/test_flink_faults.py; done

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

# Servers that the tests start on loopback; these need Go, Maven and a JDK.
$(TOOLS)/bin/versitygw:
	$(GO_INSTALL) github.com/versity/versitygw/cmd/versitygw@v1.8.0

$(TOOLS)/bin/fake-gcs-server:
	$(GO_INSTALL) github.com/fsouza/fake-gcs-server@v1.56.1

# Beam's own program that starts a Python worker.
$(TOOLS)/bin/container:
	$(GO_INSTALL) github.com/apache/beam/sdks/v2/python/container@v2.77.0

$(TOOLS)/flink/ready: $(VENV)/ready
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --target $(@D) apache-flink-libraries==1.19.3
	touch $@

$(TOOLS)/flink-job-server/ready: tests/flink-job-server/pom.xml
	mvn --quiet --file $< -Doutput=$(abspath $(@D)) jar:jar dependency:copy-dependencies
	touch $@

clean:
	rm -rf $(VENV) $(TOOLS) demo-output *.egg-info
