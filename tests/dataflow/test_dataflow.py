"""The job that deploy/dataflow/launch.sh submits to Dataflow, and the graph that comes with it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import translations

from earmark.pipeline.runner import find_target
from earmark.schemas.errors import JobError
from tests.support.clusters.fake_dataflow import fake_dataflow, staged_pipeline
from tests.support.jobs import PHONE_PROMPTS, annotations, failures, write_manifest
from tests.support.paths import ROOT

pytestmark = [pytest.mark.process, pytest.mark.model]

IMAGE = "europe-west4-docker.pkg.dev/project/earmark/worker:1"
GROUP_BY_KEY = common_urns.primitives.GROUP_BY_KEY.urn


@dataclass(frozen=True)
class Submitted:
    """A run of launch.sh: the finished process, the job and pipeline that it submitted, and the output."""

    ended: subprocess.CompletedProcess[str]
    job: dict[str, Any]
    pipeline: beam_runner_api_pb2.Pipeline
    output: Path

    @property
    def options(self):
        return dict(self.job["environment"]["sdkPipelineOptions"]["options"])

    @property
    def workers(self):
        (pool,) = self.job["environment"]["workerPools"]
        return dict(pool)

    def primitive_steps(self):
        """The steps without inner steps, by name."""
        transforms = self.pipeline.components.transforms.values()
        return {transform.unique_name: transform for transform in transforms if not transform.subtransforms}


def launch(manifest, folder, *flags):
    """Run `launch.sh MANIFEST folder/output`, staging files below `folder` instead of a bucket."""
    stage = folder / "stage"
    stage.mkdir(parents=True)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PROJECT": "project",
        "REGION": "europe-west4",
        "BUCKET": "bucket",
        "IMAGE": IMAGE,
    }
    command = [ROOT / "deploy/dataflow/launch.sh", manifest, folder / "output", "--model=whisper-tiny.en"]
    # Real jobs have a CUDA device; here the pipeline runs on this machine.
    beam_args = [f"--temp_location={stage}", "--device=cpu", *flags]
    return subprocess.run(
        [*map(str, command), *beam_args], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def submitted(tmp_path_factory):
    """A job of two recordings and a missing one, run to its end by a Dataflow on loopback."""
    folder = tmp_path_factory.mktemp("dataflow")
    rows = [
        {"id": "a", "audio_filepath": str(PHONE_PROMPTS.parent / "vm-deleted.flac")},
        {"id": "b", "audio_filepath": str(PHONE_PROMPTS.parent / "vm-saved.flac")},
        {"id": "c", "audio_filepath": str(folder / "missing.flac")},
    ]
    manifest = write_manifest(folder / "manifest.jsonl", rows)
    with fake_dataflow() as dataflow:
        ended = launch(manifest, folder, *dataflow.flags)
        assert len(dataflow.jobs) == 1, ended.stderr
        (job,) = dataflow.jobs
        yield Submitted(ended, job, staged_pipeline(job), folder / "output")


def test_the_submitted_job_runs_to_its_end_and_its_result_is_the_status(submitted):
    assert submitted.ended.returncode == 0, submitted.ended.stderr
    assert [row["id"] for row in annotations(submitted.output)] == ["a", "b"]
    assert "deleted" in annotations(submitted.output)[0]["transcribe"]["text"].lower()
    assert [failure["id"] for failure in failures(submitted.output)] == ["c"]


def test_a_flex_template_plans_the_run_and_dataflow_starts_the_job_later(tmp_path):
    """As by Dataflow's launcher: the script plans, writes the job object and ends; then Dataflow starts the job."""
    rows = [{"id": "a", "audio_filepath": str(PHONE_PROMPTS.parent / "vm-deleted.flac")}]
    manifest, output = write_manifest(tmp_path / "manifest.jsonl", rows), tmp_path / "output"
    flags = [f"--manifest={manifest}", f"--output={output}", "--model=whisper-tiny.en", "--keep_failures=false"]
    flags += ["--runner=DataflowRunner", "--project=project", "--region=europe-west4", f"--sdk_container_image={IMAGE}"]
    flags += [f"--temp_location={tmp_path}", f"--template_location={tmp_path}/job_object", "--job_name=earmark-monday"]
    with fake_dataflow() as dataflow:
        command = [sys.executable, ROOT / "pipeline/annotate_from_flags.py", *flags, *dataflow.flags]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}

        def plan():
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

        planned = plan()
        assert planned.returncode == 0, planned.stderr
        assert dataflow.jobs == []
        job = json.loads((tmp_path / "job_object").read_text())
        assert job["name"] == "earmark-monday"
        dataflow.jobs, dataflow.state = [job], "JOB_STATE_QUEUED"
        second = plan()
        assert second.returncode == 1
        assert "(job earmark-monday on http://localhost" in second.stderr
        assert "is writing to" in second.stderr
        dataflow.create(job)
        wait_for(lambda: dataflow.state not in ("JOB_STATE_QUEUED", "JOB_STATE_RUNNING"))
        assert dataflow.state == "JOB_STATE_DONE"
        assert [row["id"] for row in annotations(output)] == ["a"]
        next_night = plan()
        assert next_night.returncode == 0, next_night.stderr


@pytest.mark.parametrize("missing", ["project", "region", "temp_location"])
def test_a_missing_option_of_dataflow_is_an_error_before_any_work(missing):
    options = {"project": "project", "region": "europe-west4", "temp_location": "gs://bucket/tmp"}
    flags = [f"--{name}={value}" for name, value in options.items() if name != missing]
    with pytest.raises(JobError, match=f"Dataflow needs --{missing} "):
        find_target(PipelineOptions(["--runner=DataflowRunner", *flags]))


def wait_for(condition, deadline_s=300):
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_workers_have_a_gpu_and_one_process_with_one_replica_of_the_model(submitted):
    environment, workers = submitted.job["environment"], submitted.workers
    assert environment["serviceOptions"] == ["worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver"]
    assert {"use_runner_v2", "no_use_multiple_sdk_containers"} <= set(environment["experiments"])
    assert "use_multiple_sdk_containers" not in environment["experiments"]
    assert workers["numThreadsPerWorker"] == 4
    assert (workers["machineType"], workers["diskSizeGb"], workers["numWorkers"]) == ("g2-standard-8", 100, 1)
    assert workers["autoscalingSettings"]["maxNumWorkers"] == 4


def test_workers_run_the_image_and_install_nothing_at_start(submitted):
    (image,) = submitted.workers["sdkHarnessContainerImages"]
    assert image["containerImage"] == IMAGE
    for environment in submitted.pipeline.components.environments.values():
        assert environment.urn == common_urns.environments.DOCKER.urn
        assert beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image == IMAGE
    # The only staged file is a list of the launching machine's packages, for people to compare.
    packages = [package["name"] for package in submitted.workers.get("packages", [])]
    assert packages == ["submission_environment_dependencies.txt"]


def test_the_job_is_a_batch_job_with_a_recognisable_name(submitted):
    assert submitted.job["type"] in ("JOB_TYPE_BATCH", 1)
    assert submitted.job["name"].startswith("earmark")
    assert (submitted.options["project"], submitted.options["region"]) == ("project", "europe-west4")


def test_steps_are_named_after_their_stages(submitted):
    transforms = submitted.pipeline.components.transforms
    (root,) = submitted.pipeline.root_transform_ids
    steps = [transforms[step].unique_name for step in transforms[root].subtransforms]
    assert sorted(steps) == [
        "Annotate",
        "CountToDo",
        "DecodeAudio",
        "GatherReports",
        "MeasureBandwidth",
        "PackShards",
        "ReadManifest",
        "SegmentSpeech",
        "SkipAnnotated",
        "SkipWritten",
        "StopGate",
        "Summarize",
        "WritePart",
    ]


def test_only_these_steps_shuffle(submitted):
    shuffles = [name for name, step in submitted.primitive_steps().items() if step.spec.urn == GROUP_BY_KEY]
    assert sorted(shuffles) == [
        "CountToDo/CombineGlobally(CountCombineFn)/CombinePerKey/GroupByKey",
        "PackShards/CountRows/CombineGlobally(CountCombineFn)/CombinePerKey/GroupByKey",
        "PackShards/GroupByKey",  # rows of the manifest to buckets
        "PackShards/SpreadShards/ReshufflePerKey/GroupByKey",  # shards to workers
        "ReadManifest/Reshuffle/ReshufflePerKey/GroupByKey",  # names of manifests
        "SkipAnnotated/CoGroupByKey/CoGroupByKeyImpl/GroupByKey",  # rows and the ids of earlier parts
        "SkipAnnotated/Reshuffle/ReshufflePerKey/GroupByKey",  # names of parts
        "Summarize/CoGroupByKey/CoGroupByKeyImpl/GroupByKey",  # counts and failures
    ]


def test_audio_stays_on_the_worker_that_decoded_it(submitted):
    """Beam's own fuser puts every step with audio into one stage; only reports of parts, and ids, leave it."""
    components, stages = fused_stages(submitted.pipeline)
    (stage,) = [s for s in stages if any(step.unique_name.startswith("DecodeAudio/") for step in s.transforms)]
    names = [step.unique_name.split("/")[0] for step in stage.transforms if step.spec.urn == "beam:transform:pardo:v1"]
    spread = ["PackShards"] * names.count("PackShards")
    assert [name for name in names if name != "Summarize"] == [  # flattens the ids of shards that were not started
        *spread,
        "StopGate",
        "SkipWritten",
        "DecodeAudio",
        "MeasureBandwidth",
        "SegmentSpeech",
        "Annotate",
        "WritePart",
    ]
    sinks = [step for step in stage.transforms if step.spec.urn == translations.bundle_processor.DATA_OUTPUT_URN]
    leaving = {components.pcollections[id].unique_name for sink in sinks for id in sink.inputs.values()}
    assert {name.lstrip("0123456789").split("/")[0] for name in leaving} == {"Summarize", "SkipWritten", "WritePart"}


def test_no_collection_of_decoded_audio_is_shuffled(submitted):
    audio = audio_collections(submitted.pipeline)
    assert len(audio) == 3  # of DecodeAudio, MeasureBandwidth and SegmentSpeech
    shuffled = {
        id
        for step in submitted.primitive_steps().values()
        if step.spec.urn == GROUP_BY_KEY
        for id in step.inputs.values()
    }
    assert shuffled
    assert not shuffled & audio


def fused_stages(pipeline):
    """The stages that a runner fuses the pipeline into: the steps of a stage share a process."""
    context, stages = translations.create_and_optimize_stages(
        pipeline,
        phases=[
            translations.annotate_downstream_side_inputs,
            translations.fix_side_input_pcoll_coders,
            translations.lift_combiners,
            translations.expand_gbk,
            translations.sink_flattens,
            translations.greedily_fuse,
            translations.read_to_impulse,
            translations.sort_stages,
        ],
        known_runner_urns=frozenset([common_urns.primitives.FLATTEN.urn, GROUP_BY_KEY]),
        use_state_iterables=False,
    )
    return context.components, list(stages)


def audio_collections(pipeline):
    """Ids of the collections whose coder contains the one that refuses to encode."""
    coders = pipeline.components.coders

    def holds_audio(id):
        coder = coders[id]
        return b"StaysOnWorker" in coder.spec.payload or any(map(holds_audio, coder.component_coder_ids))

    return {id for id, collection in pipeline.components.pcollections.items() if holds_audio(collection.coder_id)}
