"""Every block of code in README, docs/ and the examples does what it says: it is run, or at least read, by this test.

A page is one story, so its blocks run in order in one folder. Where a page needs what a test has not, a bucket, a large
model, a stand-in takes its place; where that cannot be, a table says why. A block that fits nothing here fails.
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

# What stands for what a page names: in this order, since some are the beginning of others.
STAND_INS = {
    "Qwen/Qwen2-Audio-7B-Instruct": str(TINY),
    "Qwen/Qwen2-Audio-7B": str(TINY),
    "Systran/faster-whisper-large-v3": "whisper-tiny.en",
    "gs://bucket/models/whisper": "whisper-tiny.en",
    "gs://bucket/": "bucket/",
    " /data ": " data ",
}
# Commands of earmark that are read and checked, not run: by what they hold, and why.
ONLY_READ = {
    "--runner=FlinkRunner": "needs a Flink cluster; tests/flink/test_flink.py runs such a command on one",
    "https://host/": "needs a server; tests/end_to_end/test_served.py and test_benchmark_runs.py run one on loopback",
    "doctor": "what it finds hangs on the machine; tests/pipeline/doctor/test_report.py runs it",
    "loudness:": "needs the package installed; tests/model/plugins/test_engine.py installs it and runs this command",
}
# Programs that are not earmark: how their lines are known to be right, beside being shell.
OTHER_PROGRAMS = {
    "airflow": "needs Airflow; tests/deploy/test_airflow.py loads the DAG in one",
    "cp": "puts the DAG into Airflow's folder",
    "deploy/dataflow/launch.sh": "needs Dataflow; tests/deploy/test_dataflow.py runs it against a stand-in",
    "docker": "needs a Docker daemon",
    "exec": "Beam's boot program; tests/support/clusters/flink_cluster.py starts workers by such a script",
    "export": "sets names for the commands below it",
    "gcloud": "needs a project in Google's cloud; tests/docs/test_deploy_pages.py checks options and files",
    "kubectl": "needs a cluster; tests/deploy/test_kubernetes.py holds the files to the schemas",
    "python3.11": "makes an environment",
    "source": "takes on an environment",
}
# Text for people: by its beginning.
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
# A page that shows a piece of something: what is around it.
AROUND = {
    "examples/own-engine/README.md": "from earmark import TextAnswer, Transcript\n"
    "load_their_model = lambda argument: None\n",
}
HERE = ["--direct_num_workers=1", "--decode_processes=1"]  # a few recordings are labelled fastest so


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """A folder with a few recordings and what most pages have at hand: their manifest and an output."""
    folder = tmp_path_factory.mktemp("held")
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
    (folder / "speakers.csv").write_text("wav,said\n" + "".join(f"{row['audio_filepath']},x\n" for row in short))
    (folder / "job.yaml").write_text(f"model: {TINY}\ntask: [caption]\n")
    (folder / "key.txt").write_text("key")
    words = {f"61-70968-{number:04d}": row["text"].upper() for number, row in enumerate(short)}
    audio = {name: folder / row["audio_filepath"] for name, row in zip(words, short, strict=True)}
    miniature.make_librispeech(folder / "data", "test-clean", words, audio)
    with contextlib.chdir(folder), _signals_kept():
        command = ["annotate", "with-failure.jsonl", "labels", "--model=whisper-tiny.en", "--task=transcribe", *HERE]
        assert main(command) == 0
    return folder


@contextlib.contextmanager
def _signals_kept():
    """Commands set how a stop is taken; in this process that is for their time only."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def sandbox(labels, tmp_path, monkeypatch):
    """A copy of the folder to work in; a page that makes an output of its own finds none."""
    shutil.copytree(labels, tmp_path, dirs_exist_ok=True)
    for name in ("labels-a", "labels-b", "bucket/labels"):
        shutil.copytree(labels / "labels", tmp_path / name)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_every_block_of_a_page_works(page, sandbox, monkeypatch):
    found = blocks(page)
    for output in _made_by(found):
        shutil.rmtree(sandbox / output, ignore_errors=True)
    names: dict[str, object] = {}
    for block in found:
        try:
            _try(block, names, monkeypatch)
        except (Exception, SystemExit) as error:
            error.add_note(f"in the block at {block.place}")
            raise


def _made_by(page):
    """The outputs that the commands of a page make."""
    scripts = [shell_lines(_local(block.text)) for block in page if block.language == "bash"]
    return {words[3] for script in scripts for words in script if words[:2] == ["earmark", "annotate"]}


def _local(text):
    for name, stand_in in STAND_INS.items():
        text = text.replace(name, stand_in)
    return text


def _try(block, names, monkeypatch):
    """Raises whatever goes wrong with a block."""
    text = _local(block.text)
    if block.title:
        Path(block.title).parent.mkdir(parents=True, exist_ok=True)
        Path(block.title).write_text(text, encoding="utf-8")
    match block.language:
        case "bash":
            subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
            for words in shell_lines(text):
                _run(words, monkeypatch)
        case "crontab":
            _read_options(text.partition("/earmark ")[2].partition(">>")[0].split())  # the same runs above it
        case "python":
            code = compile(AROUND.get(block.page, "") + text, block.title or block.place, "exec")
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
            assert any(block.text.startswith(beginning) for beginning in NOT_CODE), "say in NOT_CODE what it is"
        case _:
            pytest.fail(f"{block.place}: fence it, with a language that this test knows (not {block.language!r})")


def _read_yaml(block, text):
    if next(iter(yaml.safe_load(text))) not in OTHER_YAML:
        path = Path(block.title or "untitled.yaml")
        path.write_text(text, encoding="utf-8")
        JobOptions(**read_job_file(str(path))).check()


def _run(words, monkeypatch):
    """Runs a line of a script, where that is possible here."""
    program = words[0].removeprefix("/opt/earmark/bin/")  # of the machine that a schedule runs on
    if program == "earmark" and any(held in word for held in ONLY_READ for word in words):
        _read_options(words[1:])
    elif program == "earmark":
        _run_earmark(words[1:])
    elif program == "make":
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)
    elif program == "pip":
        _install(words[1:], monkeypatch)
    elif program == "python":
        assert Path(words[1]).is_file(), f"there is no {words[1]}"
    else:
        assert program in OTHER_PROGRAMS, f"say in OTHER_PROGRAMS how {words} is known to be right"


def _run_earmark(arguments):
    added = HERE if arguments[0] in ("annotate", "benchmark") and "--list" not in arguments else []
    status: object
    with _signals_kept():
        try:
            status = main([*arguments, *added])
        except SystemExit as ended:  # as --list does
            status = ended.code
    assert status == 0, arguments


def _read_options(arguments):
    known, rest = build_parser().parse_known_args(arguments)
    if "config" in known:
        merge_options(known).check()
    assert not rest or known.for_beam
    assert beam_parser().parse_known_args(rest)[1] == []


def _install(arguments, monkeypatch):
    """earmark is installed here; its extras have to be those of setup.py. Another folder is installed aside."""
    (command, what) = arguments
    assert command == "install"
    name, _, extras = what.rstrip("]").partition("[")
    if name != ".":
        options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", "installed"]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, name], check=True)
        monkeypatch.syspath_prepend(Path("installed").absolute())
    elif extras:
        assert f'"{extras}": [' in (ROOT / "setup.py").read_text()


def test_no_stand_in_or_reason_is_left_over():
    everything = "\n".join(block.text for page in PAGES for block in blocks(page))
    lists: list[Mapping[str, str]] = [STAND_INS, ONLY_READ, OTHER_PROGRAMS, NOT_CODE, OTHER_YAML]
    assert [name for one in lists for name in one if name not in everything] == []


def test_pages_of_other_folders_are_read_too():
    assert {"README.md", "docs/deploy.md", "examples/own-engine/README.md"} <= set(PAGES)
    assert os.path.exists(ROOT / PAGES[-1])
