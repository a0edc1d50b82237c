"""deploy/airflow: the DAG in a real Airflow with its real Beam operator, which starts earmark or a stand-in."""

import json
import os
import subprocess
import sys

import pytest

from earmark.pipeline.annotate_from_flags import command_of
from earmark.pipeline.cli import build_parser
from tests.support.jobs import PHONE_PROMPTS, transcripts, write_manifest
from tests.support.paths import ROOT

pytestmark = pytest.mark.deploy
AIRFLOW = ROOT / ".tools/airflow/bin"
DAG = ROOT / "deploy/airflow/earmark_nightly.py"
DATAFLOW = {
    "runner": "DataflowRunner",
    "manifest": "gs://bucket/manifest.jsonl",
    "output": "gs://bucket/labels",
    "options": {
        "model": "gs://bucket/models/whisper",
        "temp_location": "gs://bucket/tmp",
        "experiments": ["use_runner_v2", "no_use_multiple_sdk_containers"],
        "dataflow_service_options": "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver",
        "number_of_worker_harness_threads": 4,
        "keep_failures": True,
    },
    "dataflow": {"project_id": "project", "location": "europe-west4"},
}
FLINK = {
    "runner": "FlinkRunner",
    "manifest": "s3://bucket/manifest.jsonl",
    "output": "s3://bucket/labels",
    "options": {"model": "s3://bucket/models/whisper", "flink_master": "http://flink:8081"},
}
# `airflow dags test` without Google, which the operator would ask for the state of the job.
RUN_ONCE = """
import sys
from unittest.mock import patch

from airflow.__main__ import main
from airflow.providers.google.cloud.hooks.dataflow import DataflowHook

sys.argv = ["airflow", "dags", "test", "earmark_nightly", "--dagfile-path", sys.argv[1]]
with patch.object(DataflowHook, "wait_for_done"):
    main()
"""


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow")
    subprocess.run([AIRFLOW / "airflow", "db", "migrate"], env=airflow_environment(home), check=True, timeout=300)
    return home


def airflow_environment(home):
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": '{"conn_type": "google_cloud_platform"}',
    }


def run_once(home, folder, settings, python, status=0):
    """Run the DAG with the script `python` as earmark's interpreter, without retries.

    The command `earmark` is a stand-in that writes its arguments to folder/earmark.txt and ends with `status`.
    """
    write_program(folder / "bin/python", python)
    write_program(folder / "bin/earmark", f'printf "%s\\n" "$@" > {folder}/earmark.txt; exit {status}')
    text = DAG.read_text()
    for setting, value in (
        ('EARMARK = "/opt/earmark/bin"', f'EARMARK = "{folder}/bin"'),
        ('"retries": 2', '"retries": 0'),
    ):
        assert text.count(setting) == 1
        text = text.replace(setting, value)
    dags = home / "dags"
    dags.mkdir(exist_ok=True)
    (dags / DAG.name).write_text(text)
    environment = {**airflow_environment(home), "AIRFLOW_VAR_EARMARK_NIGHTLY": json.dumps(settings)}
    command = [AIRFLOW / "python", "-c", RUN_ONCE, dags / DAG.name]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def write_program(path, script):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def stand_in(folder, status=0):
    """Script of a Python that has Beam, and writes its arguments to folder/python.txt."""
    beam_version = 'if [ "$1" = -c ]; then echo 2.77.0; exit 0; fi'
    return f'{beam_version}; printf "%s\\n" "$@" > {folder}/python.txt; exit {status}'


@pytest.mark.parametrize("settings", [DATAFLOW, FLINK], ids=["Dataflow", "Flink"])
def test_the_variable_sets_the_command_and_the_runner(airflow_home, tmp_path, settings):
    ended = run_once(airflow_home, tmp_path, settings, stand_in(tmp_path))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    module, name, *flags = (tmp_path / "python.txt").read_text().splitlines()
    assert (module, name) == ("-m", "earmark.pipeline.annotate_from_flags")
    args, beam_args = build_parser().parse_known_args(command_of(flags))
    assert (args.manifest, args.output) == (settings["manifest"], settings["output"])
    assert args.model == [settings["options"]["model"]]
    assert args.keep_failures == settings["options"].get("keep_failures")
    assert f"--runner={settings['runner']}" in beam_args
    if settings is DATAFLOW:
        expected = {
            "--project=project",
            "--region=europe-west4",
            "--experiments=no_use_multiple_sdk_containers",
            "--dataflow_service_options=worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver",
            "--number_of_worker_harness_threads=4",
        }
        assert expected <= set(beam_args)
    else:
        assert "--flink_master=http://flink:8081" in beam_args
    assert (tmp_path / "earmark.txt").read_text().splitlines() == ["compact", settings["output"]]


def test_a_run_that_fails_fails_its_task_and_nothing_is_compacted(airflow_home, tmp_path):
    ended = run_once(airflow_home, tmp_path, FLINK, stand_in(tmp_path, status=1))
    assert ended.returncode != 0
    assert "Apache Beam process failed with return code 1" in ended.stdout
    assert (tmp_path / "python.txt").exists()
    assert not (tmp_path / "earmark.txt").exists()


@pytest.mark.slow
def test_airflow_runs_earmark_itself(airflow_home, tmp_path):
    rows = [{"id": "a", "audio_filepath": str(PHONE_PROMPTS.parent / "vm-deleted.flac")}]
    manifest = write_manifest(tmp_path / "manifest.jsonl", rows)
    settings = {
        "runner": "apache_beam.runners.portability.fn_api_runner.FnApiRunner",  # in the process itself
        "manifest": str(manifest),
        "output": str(tmp_path / "output"),
        "options": {"model": "whisper-tiny.en"},
    }
    earmark = f'PYTHONPATH={ROOT} exec {sys.executable} "$@"'
    ended = run_once(airflow_home, tmp_path, settings, earmark)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "deleted" in transcripts(tmp_path / "output")["a"].lower()


def test_nights_do_not_overlap_are_not_backfilled_and_are_retried(airflow_home):
    script = (
        "from earmark_nightly import dag; annotate = dag.get_task('annotate')\n"
        "print('settings:', dag.max_active_runs, dag.catchup, dag.schedule, annotate.retries)"
    )
    environment = {**airflow_environment(airflow_home), "PYTHONPATH": str(DAG.parent)}
    command = [AIRFLOW / "python", "-c", script]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "settings: 1 False 0 1 * * * 2" in ended.stdout, ended.stderr
