"""Every code block in README, docs/ and the examples works: it is run, or at least parsed and checked.

The blocks of a page run in order, in one folder. If a page needs something that a test does not have, such as a bucket
or a large model, STAND_INS replaces it; if that is not possible, a table gives the reason. Any other block fails.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest
import yaml

from earmark.pipeline.cli import build_parser, main
from earmark.pipeline.console.job_file import read_job_file
from earmark.pipeline.console.job_flags import merge_options
from earmark.schemas.job import JobOptions
from tests.support.audio import miniature_sets as miniature
from tests.support.beam_options import beam_parser
from tests.support.doc_blocks import PAGES, ROOT, blocks, shell_lines
from tests.support.jobs import PHONE_PROMPTS, TINY, manifest_lines, write_manifest

# Replacements for what a page names, in this order, because some names are prefixes of others.
STAND_INS = {
    "Qwen/Qwen2-Audio-7B-Instruct": str(TINY),
    "Qwen/Qwen2-Audio-7B": str(TINY),
    "Systran/faster-whisper-large-v3": "whisper-tiny.en",
    "gs://bucket/models/whisper": "whisper-tiny.en",
    "gs://bucket/": "bucket/",
    " /data ": " data ",
}
# Commands of earmark that are parsed but not run, by a substring, with the reason.
ONLY_PARSED = {
    "--runner=FlinkRunner": "needs a Flink cluster; tests/flink/test_flink.py runs such a command on one",
    "https://host/": "needs a server; tests/end_to_end/test_served.py and test_benchmark_runs.py run one on loopback",
    "doctor": "its result depends on the machine; tests/pipeline/doctor/test_report.py runs it",
    "loudness:": "needs the package installed; tests/model/plugins/test_engine.py installs it and runs this command",
}
# Other programs, and how their lines are checked, besides by the shell's parser.
OTHER_PROGRAMS = {
    "airflow": "needs Airflow; tests/deploy/test_airflow.py loads the DAG in one",
    "cp": "puts the DAG into Airflow's folder",
    "deploy/dataflow/launch.sh": "needs Dataflow; tests/deploy/test_dataflow.py runs it against a stand-in",
    "docker": "needs a Docker daemon",
    "exec": "Beam's boot program; tests/support/clusters/flink_cluster.py starts workers by such a script",
    "export": "sets variables for the commands below it",
    "gcloud": "needs a project in Google's cloud; tests/docs/test_deploy_pages.py checks options and files",
    "kubectl": "needs a cluster; tests/deploy/test_kubernetes.py holds the files to the schemas",
    "python3.11": "creates an environment",
    "source": "activates an environment",
}
# Blocks of plain text, by their beginning.
NOT_CODE = {
    "manifest ─ ReadManifest": "a picture",
    "waveforms ─ LogMels": "a picture",
    "labels/annotations/<2 hex>": "a picture of the output",
    "earmark/  ": "a map of the folders, which tests/docs/test_contributing.py checks",
    "cost of 1,000 hours": "a formula, whose figures tests/docs/test_deploy_pages.py checks",
}
OTHER_YAML = {
    "taskmanager.numberOfTaskSlots": "Flink's own; tests/support/clusters/flink_cluster.py configures its cluster so"
}
# Code that a page leaves out, which its blocks need.
PREAMBLES = {
    "examples/own-engine/README.md": "from earmark import TextAnswer, Transcript\n"
    "load_their_model = lambda argument: None\n",
}
HERE = ["--direct_num_workers=1", "--decode_processes=1"]  # the fastest way to label a few recordings


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """A folder with the files that most pages use: a few recordings, their manifest and an output."""
    folder = tmp_path_factory.mktemp("pages")
    rows = manifest_lines(PHONE_PROMPTS)
    short = sorted(rows, key=lambda row: row["duration"])[:3]
    for name in ("my-recordings", "bucket/calls"):
        (folder / name).mkdir(parents=True)
        for row in short:
            shutil.copy(PHONE_PROMPTS.parent / row["audio_filepath"], folder / name)
    for row, name in zip(short, "abc", strict=True):
        shutil.copy(PHONE_PROMPTS.parent / row["audio_filepath"], folder / f"bucket/calls/{name}.flac")
        row.update(audio_filepath=f"my-recordings/{row['audio_filepath']}", emotion="neutral")
    write_manifest(folder / "recordings.jsonl", short)
    write_manifest(
        folder / "bucket/manifest.jsonl", [{**row, "audio_filepath": f"../{row['audio_filepath']}"} for row in short]
    )
    write_manifest(folder / "with-failure.jsonl", [*short, {"audio_filepath": "missing.flac"}])
    (folder / "speakers.csv").write_text("wav,spoken_text\n" + "".join(f"{row['audio_filepath']},x\n" for row in short))
    (folder / "job.yaml").write_text(f"model: {TINY}\ntask: [caption]\n")
    (folder / "key.txt").write_text("key")
    texts = {f"61-70968-{number:04d}": row["text"].upper() for number, row in enumerate(short)}
    audio = {name: folder / row["audio_filepath"] for name, row in zip(texts, short, strict=True)}
    miniature.make_librispeech(folder / "data", "test-clean", texts, audio)
    with contextlib.chdir(folder), _restored_signals():
        command = ["annotate", "with-failure.jsonl", "labels", "--model=whisper-tiny.en", "--task=transcribe", *HERE]
        assert main(command) == 0
    return folder


@contextlib.contextmanager
def _restored_signals():
    """Restore the signal handler that a command replaces."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def sandbox(labels, tmp_path, monkeypatch):
    """A copy of the folder for one page, with copies of the output under other names."""
    shutil.copytree(labels, tmp_path, dirs_exist_ok=True)
    for name in ("labels-a", "labels-b", "bucket/labels"):
        shutil.copytree(labels / "labels", tmp_path / name)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.process
@pytest.mark.model
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_every_block_of_a_page_works(page, sandbox, monkeypatch):
    for output in _outputs_of(blocks(page)):
        shutil.rmtree(sandbox / output, ignore_errors=True)
    names: dict[str, object] = {}
    for block in blocks(page):
        try:
            _check(block, names, monkeypatch)
        except (Exception, SystemExit) as error:
            error.add_note(f"in the block at {block.location}")
            raise


def _outputs_of(page_blocks):
    """The outputs that the commands of a page create."""
    scripts = [shell_lines(_local(block.text)) for block in page_blocks if block.language == "bash"]
    return {command[3] for script in scripts for command in script if command[:2] == ["earmark", "annotate"]}


def _local(text):
    for name, stand_in in STAND_INS.items():
        text = text.replace(name, stand_in)
    return text


def _check(block, names, monkeypatch):
    """Run a block, or check it; raises any exception if it does not work."""
    text = _local(block.text)
    if block.title:
        Path(block.title).parent.mkdir(parents=True, exist_ok=True)
        Path(block.title).write_text(text, encoding="utf-8")
    match block.language:
        case "bash":
            subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
            for command in shell_lines(text):
                _run(command, monkeypatch)
        case "crontab":
            _parse_options(text.partition("/earmark ")[2].partition(">>")[0].split())  # the page runs the same above
        case "python":
            code = compile(PREAMBLES.get(block.page, "") + text, block.title or block.location, "exec")
            if not block.title:
                exec(code, names)
        case "sql":
            assert duckdb.connect().execute(text).description
        case "json":
            lines = [text] if text.startswith("{\n") else text.splitlines()
            assert all(isinstance(json.loads(line), dict) for line in lines)
        case "toml":
            assert tomllib.loads(text)
        case "yaml":
            _read_yaml(block, text)
        case "text":
            assert any(block.text.startswith(beginning) for beginning in NOT_CODE), "describe it in NOT_CODE"
        case _:
            pytest.fail(f"{block.location}: fence it with a language that this test supports (not {block.language!r})")


def _read_yaml(block, text):
    if next(iter(yaml.safe_load(text))) not in OTHER_YAML:
        path = Path(block.title or "untitled.yaml")
        path.write_text(text, encoding="utf-8")
        JobOptions(**read_job_file(str(path))).check()


def _run(command, monkeypatch):
    """Run a line of a script, if that is possible here."""
    program, *arguments = command
    program = program.removeprefix("/opt/earmark/bin/")  # the path in nightly schedules
    if program == "earmark" and any(substring in argument for substring in ONLY_PARSED for argument in arguments):
        _parse_options(arguments)
    elif program == "earmark":
        _run_earmark(arguments)
    elif program == "make":
        subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True)
    elif program == "pip":
        _install(arguments, monkeypatch)
    elif program == "python":
        assert Path(arguments[0]).is_file(), f"there is no {arguments[0]}"
    else:
        assert program in OTHER_PROGRAMS, f"describe in OTHER_PROGRAMS how {command} is checked"


def _run_earmark(arguments):
    added = HERE if arguments[0] in ("annotate", "benchmark") and "--list" not in arguments else []
    status: object
    with _restored_signals():
        try:
            status = main([*arguments, *added])
        except SystemExit as error:  # raised by --list
            status = error.code
    assert status == 0, arguments


def _parse_options(arguments):
    args, beam_args = build_parser().parse_known_args(arguments)
    if "config" in args:
        merge_options(args).check()
    assert not beam_args or args.for_beam
    assert beam_parser().parse_known_args(beam_args)[1] == []


def _install(arguments, monkeypatch):
    """Check that extras of earmark exist in setup.py; install another package into a folder of its own."""
    (command, requirement) = arguments
    assert command == "install"
    name, _, extras = requirement.rstrip("]").partition("[")
    if name != ".":
        options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", "installed"]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, name], check=True)
        monkeypatch.syspath_prepend(Path("installed").absolute())
    elif extras:
        assert f'"{extras}": [' in (ROOT / "setup.py").read_text()


def test_every_stand_in_and_reason_is_used():
    text = "\n".join(block.text for page in PAGES for block in blocks(page))
    tables: list[Mapping[str, str]] = [STAND_INS, ONLY_PARSED, OTHER_PROGRAMS, NOT_CODE, OTHER_YAML]
    assert [name for table in tables for name in table if name not in text] == []


def test_pages_outside_docs_are_included():
    assert {"README.md", "docs/deploy.md", "examples/own-engine/README.md"} <= set(PAGES)
    assert os.path.exists(ROOT / PAGES[-1])
