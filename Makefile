# Every target installs what it needs; all need Python 3.11 or later and the package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUTPUT ?= demo-output

TOOLS := .tools
GO_INSTALL = GOBIN=$(abspath $(TOOLS)/bin) go install

.PHONY: demo docs check test test-cuda test-flink test-flink-faults test-stores test-deploy test-report lint bench clean
TINY := examples/tiny-qwen2-audio
TASKS := transcribe,caption,emotion
demo: $(VENV)/ready
	$(BIN)/earmark annotate examples/phone-prompts/manifest.jsonl $(OUTPUT)/phone-prompts --task $(TASKS) --model $(TINY),transcribe=whisper-tiny.en
	$(BIN)/earmark annotate examples/scenes/manifest.jsonl $(OUTPUT)/scenes --task $(TASKS) --model $(TINY)
	$(BIN)/python examples/show_answers.py $(OUTPUT)/phone-prompts $(OUTPUT)/scenes
	$(BIN)/earmark report $(OUTPUT)/phone-prompts
	$(BIN)/earmark report $(OUTPUT)/scenes
	@echo "To browse and listen, open $(OUTPUT)/phone-prompts/report.html and $(OUTPUT)/scenes/report.html in a browser. Next steps: README.md, docs/"

# Test processes at once, each with one thread; a file's tests stay in one process, which builds their fixtures once.
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --durations=10
HERE := not object_store and not flink and not deploy and not cuda and not browser

test: lint
	$(PYTEST) -m "$(HERE)"

# For the loop of somebody who edits.
check: lint
	$(PYTEST) -m "$(HERE) and not model and not process and not slow"

# Needs a CUDA device.
test-cuda: $(VENV)/ready
	$(BIN)/python -m pytest --durations=10 -m cuda

# Runs on the servers of two object stores; needs Go to build them.
test-stores: $(VENV)/ready $(TOOLS)/bin/versitygw $(TOOLS)/bin/fake-gcs-server
	$(BIN)/python -m pytest --durations=10 -m object_store

# Starts a Flink cluster on this machine; needs a JDK, Maven and Go.
FLINK := $(VENV)/ready $(TOOLS)/flink/ready $(TOOLS)/flink-job-server/ready $(TOOLS)/bin/container
test-flink: $(FLINK)
	$(BIN)/python -m pytest -m flink --durations=10

test-flink-faults: $(FLINK)
	set -e; for time in 1 2 3 4 5 6 7 8 9 10; do $(BIN)/python -m pytest tests/flink/test_faults.py; done

# The files of deploy/ in a real Airflow, and against the schema of Flink's operator.
test-deploy: $(VENV)/ready $(TOOLS)/airflow/ready $(TOOLS)/flink-operator/ready
	$(BIN)/python -m pytest -m deploy --durations=10

# The HTML report in a browser; installs Debian's Chromium if it is missing.
test-report: $(VENV)/ready
	command -v chromium || { apt-get update && apt-get install --yes --no-install-recommends chromium; }
	$(BIN)/python -m pytest -m browser --durations=10

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready
	set -e; for bench in $(basename $(notdir $(wildcard benches/bench_*.py))); do $(BIN)/python -m benches.$$bench; done

$(VENV)/ready: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --editable '.[tiny-whisper,test]'
	touch $@

# Servers that tests start on loopback; building them needs Go, Maven and a JDK.
$(TOOLS)/bin/versitygw:
	$(GO_INSTALL) github.com/versity/versitygw/cmd/versitygw@v1.8.0

$(TOOLS)/bin/fake-gcs-server:
	$(GO_INSTALL) github.com/fsouza/fake-gcs-server@v1.56.1

# Beam's program that starts a Python worker.
$(TOOLS)/bin/container:
	$(GO_INSTALL) github.com/apache/beam/sdks/v2/python/container@v2.77.0

$(TOOLS)/flink/ready: $(VENV)/ready
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --target $(@D) apache-flink-libraries==1.19.3
	touch $@

$(TOOLS)/flink-job-server/ready: tests/support/flink-job-server/pom.xml
	mvn --quiet --file $< -Doutput=$(abspath $(@D)) jar:jar dependency:copy-dependencies
	touch $@

# The version of Airflow in docs/nightly.md, in its own environment, as in production.
$(TOOLS)/airflow/ready: $(VENV)/ready
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	$(BIN)/uv pip install --quiet --python $(@D)/bin/python apache-airflow==3.3.2 \
	    apache-airflow-providers-apache-beam==6.3.1 apache-airflow-providers-google==21.0.0
	touch $@

$(TOOLS)/flink-operator/ready:
	mvn --quiet --batch-mode dependency:copy -Dartifact=org.apache.flink:flink-kubernetes-operator-api:1.10.0 \
	    -Dmdep.stripVersion=true -DoutputDirectory=$(abspath $(@D))
	touch $@

# Not --quiet, because MkDocs then counts no warnings and builds a site with dead links.
docs: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

clean:
	rm -rf $(VENV) $(TOOLS) demo-output site *.egg-info
