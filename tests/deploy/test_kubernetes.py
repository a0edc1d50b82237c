"""The manifests of deploy/kubernetes are valid for Kubernetes and Flink's operator, and agree with the code."""

import re
import zipfile

import jsonschema
import kubernetes_validate
import pytest
import yaml

from earmark.pipeline.cli import build_parser
from tests.support.beam_options import beam_parser
from tests.support.paths import ROOT

FOLDER = ROOT / "deploy/kubernetes"
OPERATOR = ROOT / ".tools/flink-operator/flink-kubernetes-operator-api.jar"
CRD = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"


def documents(name):
    """The documents of a manifest by their kind."""
    return {document["kind"]: document for document in yaml.safe_load_all((FOLDER / name).read_text())}


def nightly_pod():
    return dict(documents("nightly.yaml")["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def worker():
    """The container of Python workers in a task manager's pod."""
    pod = documents("flink.yaml")["FlinkDeployment"]["spec"]["taskManager"]["podTemplate"]["spec"]
    (container,) = [container for container in pod["containers"] if container["name"] != "flink-main-container"]
    return dict(container)


def test_kubernetes_accepts_the_nightly_job():
    manifest = documents("nightly.yaml")
    assert manifest.keys() == {"ConfigMap", "CronJob"}
    for document in manifest.values():
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.deploy
def test_flinks_operator_accepts_the_cluster():
    with zipfile.ZipFile(OPERATOR) as jar:
        definition = yaml.safe_load(jar.read(CRD))
    deployment = documents("flink.yaml")["FlinkDeployment"]
    (version,) = definition["spec"]["versions"]
    assert deployment["apiVersion"] == f"{definition['spec']['group']}/{version['name']}"
    assert deployment.keys() == {"apiVersion", "kind", "metadata", "spec"}
    jsonschema.validate(deployment["spec"], closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"]))


def closed(schema):
    """The schema without additional properties, so that a misspelled key is an error.

    Kubernetes would drop such a key silently.
    """
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        inner["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if inner.get("x-kubernetes-int-or-string"):
        inner.pop("type", None)
    return inner


def test_runs_do_not_overlap_and_a_failed_run_is_retried():
    cron = documents("nightly.yaml")["CronJob"]["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["jobTemplate"]["spec"]["backoffLimit"] == 2
    assert nightly_pod()["restartPolicy"] == "Never"


def test_earmark_and_beam_accept_the_nightly_command():
    (annotate,) = nightly_pod()["initContainers"]
    settings = documents("nightly.yaml")["ConfigMap"]["data"]
    command = [re.sub(r"\$\((\w+)\)", lambda name: settings[name[1]], argument) for argument in annotate["args"]]
    args, beam_args = build_parser().parse_known_args(command)
    assert (args.manifest, args.output) == (settings["MANIFEST"], settings["OUTPUT"])
    assert args.model == [settings["MODEL"]]
    options, unknown = beam_parser().parse_known_args(beam_args)
    assert unknown == []
    assert options.runner == "FlinkRunner"


def test_the_nightly_job_names_the_cluster_and_the_port_of_its_workers():
    (annotate,) = nightly_pod()["initContainers"]
    cluster = documents("flink.yaml")["FlinkDeployment"]["metadata"]["name"]
    # The operator names the service of a session cluster's REST interface after the cluster.
    assert f"--flink_master=http://{cluster}-rest:8081" in annotate["args"]
    (port,) = worker()["ports"]
    assert f"--environment_config=localhost:{port['containerPort']}" in annotate["args"]
    assert worker()["args"] == ["--worker_pool"]


def test_workers_and_client_have_the_same_image_of_this_version():
    pod = nightly_pod()
    images = {container["image"] for container in [*pod["initContainers"], *pod["containers"], worker()]}
    (version,) = re.findall(r'version="([^"]+)"', (ROOT / "setup.py").read_text())
    assert {image.rpartition(":")[2] for image in images} == {version}
    assert len(images) == 1


def test_the_cluster_has_the_tested_version_of_flink_and_restarts_jobs():
    spec = documents("flink.yaml")["FlinkDeployment"]["spec"]
    (tested,) = re.findall(r"apache-flink-libraries==(\d+\.\d+)", (ROOT / "Makefile").read_text())
    assert spec["flinkVersion"] == f"v{tested.replace('.', '_')}"
    assert re.fullmatch(rf"flink:{re.escape(tested)}\.\d+-java\d+", spec["image"])
    assert spec["flinkConfiguration"]["restart-strategy.type"] in ("exponential-delay", "fixed-delay")
    assert all(isinstance(value, str) for value in spec["flinkConfiguration"].values())
