"""deploy/kubernetes: the manifests are what Kubernetes and Flink's operator take, and agree with the code."""

import argparse
import re
import zipfile

import jsonschema
import kubernetes_validate
import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions

from earmark.pipeline.cli import build_parser
from tests.support.paths import ROOT

FOLDER = ROOT / "deploy/kubernetes"
OPERATOR = ROOT / ".tools/flink-operator/flink-kubernetes-operator-api.jar"
CRD = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"


def documents(name):
    """The documents of a manifest by their kind."""
    return {found["kind"]: found for found in yaml.safe_load_all((FOLDER / name).read_text())}


def nightly_pod():
    return dict(documents("nightly.yaml")["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def worker():
    """The container of Python workers in a task manager's pod."""
    pod = documents("flink.yaml")["FlinkDeployment"]["spec"]["taskManager"]["podTemplate"]["spec"]
    (found,) = [container for container in pod["containers"] if container["name"] != "flink-main-container"]
    return dict(found)


def test_kubernetes_takes_the_nightly_job():
    found = documents("nightly.yaml")
    assert found.keys() == {"ConfigMap", "CronJob"}
    for document in found.values():
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.deploy
def test_flinks_operator_takes_the_cluster():
    with zipfile.ZipFile(OPERATOR) as jar:
        definition = yaml.safe_load(jar.read(CRD))
    deployment = documents("flink.yaml")["FlinkDeployment"]
    (version,) = definition["spec"]["versions"]
    assert deployment["apiVersion"] == f"{definition['spec']['group']}/{version['name']}"
    assert deployment.keys() == {"apiVersion", "kind", "metadata", "spec"}
    jsonschema.validate(deployment["spec"], closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"]))


def closed(schema):
    """The schema with objects that hold what it names and nothing else, so that a misspelled key is an error.

    Kubernetes would drop such a key without a word.
    """
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        inner["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if inner.get("x-kubernetes-int-or-string"):
        inner.pop("type", None)
    return inner


def test_one_run_at_a_time_and_a_failed_one_is_tried_again():
    cron = documents("nightly.yaml")["CronJob"]["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["jobTemplate"]["spec"]["backoffLimit"] == 2
    assert nightly_pod()["restartPolicy"] == "Never"


def test_the_nightly_command_is_one_that_earmark_and_beam_know():
    (annotate,) = nightly_pod()["initContainers"]
    settings = documents("nightly.yaml")["ConfigMap"]["data"]
    words = [re.sub(r"\$\((\w+)\)", lambda name: settings[name[1]], argument) for argument in annotate["args"]]
    known, rest = build_parser().parse_known_args(words)
    assert (known.manifest, known.output) == (settings["MANIFEST"], settings["OUTPUT"])
    assert known.model == [settings["MODEL"]]
    beam = argparse.ArgumentParser()
    for options in PipelineOptions.__subclasses__():
        if "_add_argparse_args" in options.__dict__:
            options._add_argparse_args(beam)
    options, unknown = beam.parse_known_args(rest)
    assert unknown == []
    assert options.runner == "FlinkRunner"


def test_the_nightly_job_finds_the_cluster_and_the_cluster_its_workers():
    (annotate,) = nightly_pod()["initContainers"]
    cluster = documents("flink.yaml")["FlinkDeployment"]["metadata"]["name"]
    # The operator names the service of a session cluster's REST interface after the cluster.
    assert f"--flink_master=http://{cluster}-rest:8081" in annotate["args"]
    (port,) = worker()["ports"]
    assert f"--environment_config=localhost:{port['containerPort']}" in annotate["args"]
    assert worker()["args"] == ["--worker_pool"]


def test_workers_and_client_have_one_image_of_this_version():
    pod = nightly_pod()
    images = {container["image"] for container in [*pod["initContainers"], *pod["containers"], worker()]}
    (version,) = re.findall(r'version="([^"]+)"', (ROOT / "setup.py").read_text())
    assert {image.rpartition(":")[2] for image in images} == {version}
    assert len(images) == 1


def test_the_cluster_is_the_flink_that_tests_run_on_and_starts_jobs_over():
    spec = documents("flink.yaml")["FlinkDeployment"]["spec"]
    (tested,) = re.findall(r"apache-flink-libraries==(\d+\.\d+)", (ROOT / "Makefile").read_text())
    assert spec["flinkVersion"] == f"v{tested.replace('.', '_')}"
    assert re.fullmatch(rf"flink:{re.escape(tested)}\.\d+-java\d+", spec["image"])
    assert spec["flinkConfiguration"]["restart-strategy.type"] in ("exponential-delay", "fixed-delay")
    assert all(isinstance(value, str) for value in spec["flinkConfiguration"].values())
