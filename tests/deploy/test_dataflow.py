"""The files of deploy/dataflow agree with the code and with each other."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from deploy.dataflow.make_metadata import PATH, metadata
from earmark.pipeline.annotate_from_flags import command_of
from earmark.pipeline.cli import build_parser
from earmark.pipeline.console.job_flags import merge_options
from earmark.schemas.job import JobOptions
from tests.support.beam_options import beam_parser
from tests.support.paths import ROOT

DOCKERFILE = (ROOT / "deploy/dataflow/Dockerfile").read_text()


def test_the_template_has_every_option():
    assert json.loads(PATH.read_text()) == metadata(), "run: python -m deploy.dataflow.make_metadata"


def test_every_parameter_of_the_template_is_an_option_of_the_command_or_of_beam():
    parameters = json.loads(PATH.read_text())["parameters"]
    names = [parameter["name"] for parameter in parameters]
    assert len(set(names)) == len(names)
    flags = [f"--{name}={example(parameter)}" for name, parameter in zip(names, parameters, strict=True)]
    args, beam_args = build_parser().parse_known_args(command_of(flags))
    assert (args.manifest, args.output, args.verbose) == ("text", "text", True)
    assert beam_parser().parse_known_args(beam_args)[1] == []


def example(parameter):
    """A value that the parameter's pattern allows."""
    (pattern,) = parameter.get("regexes", [".*"])
    return next(value for value in ("text", "true", "3") if re.search(pattern, value))


def test_flags_become_the_command_that_a_person_would_type():
    flags = ["--output=gs://b/out", "--task=caption,emotion", "--keep_failures=true", "--free_labels=false"]
    flags += [
        "--manifest=gs://b/m.jsonl",
        "--prompt=Is a=b?",
        "--take_over",
        "--verbose=false",
        "--runner=DataflowRunner",
    ]
    command = command_of(flags)
    assert command[:3] == ["annotate", "gs://b/m.jsonl", "gs://b/out"]
    args, beam_args = build_parser().parse_known_args(command)
    expected = JobOptions(task=("caption", "emotion"), keep_failures=True, prompt="Is a=b?", take_over=True)
    assert merge_options(args) == expected
    assert (args.verbose, beam_args) == (False, ["--runner=DataflowRunner"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "the following arguments are required: manifest, output"),
        (["--manifest=m.jsonl"], "the following arguments are required: output"),
        (["--manifest=m.jsonl", "--output=o", "--keep_failures=yes"], "ignored explicit argument 'yes'"),
    ],
)
def test_missing_and_wrong_flags_are_refused_as_by_the_command(flags, message):
    command = [sys.executable, "-m", "earmark.pipeline.annotate_from_flags", *flags]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert message in ended.stderr


def test_the_image_has_the_installed_version_of_beam_and_a_single_python():
    (version,) = re.findall(r"^ARG BEAM_VERSION=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert version == importlib.metadata.version("apache-beam")
    assert set(re.findall(r"python(3\.\d+)", DOCKERFILE)) == {"3.11"}
    assert set(re.findall(r"python(3)(\d+)-template-launcher", DOCKERFILE)) == {("3", "11")}


def test_the_image_is_built_from_all_of_earmark(tmp_path):
    copied = re.findall(r"^COPY ((?:[\w./]+ )+)/tmp/earmark/\S*$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    in_build_context = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(sources) == in_build_context
    for source in sources:
        target = tmp_path / "earmark" / source
        target.parent.mkdir(exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, symlinks=True)
        else:
            shutil.copy(ROOT / source, target)
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*wheel, "--wheel-dir", tmp_path, tmp_path / "earmark"], check=True, timeout=120)
    (built,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(built).namelist())
    folders = ("schemas", "model", "transforms", "scoring", "reporting", "pipeline")
    files = [file.relative_to(ROOT) for name in folders for file in (ROOT / name).rglob("*") if file.is_file()]
    assert {f"earmark/{file}" for file in files if file.suffix != ".pyc"} <= packed
    assert "earmark/scoring/benchmarks.yaml" in packed


def test_the_template_starts_a_file_of_the_image():
    (started,) = re.findall(r"^ENV FLEX_TEMPLATE_PYTHON_PY_FILE=(\S+)$", DOCKERFILE, re.MULTILINE)
    (source, folder) = re.findall(r"^COPY (pipeline/\S+) (\S+)$", DOCKERFILE, re.MULTILINE)[0]
    assert started == folder + Path(source).name
    assert (ROOT / source).is_file()


def test_the_build_passes_arguments_that_the_dockerfile_has():
    build = yaml.safe_load((ROOT / "deploy/dataflow/cloudbuild.yaml").read_text())
    (step,) = build["steps"]
    build_args = [argument for argument in step["args"] if "build-arg" in argument]
    names = {re.match(r"--build-arg=(\w+)=", argument).group(1) for argument in build_args}
    assert names <= set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    used = set(re.findall(r"\$\{(\w+)\}", yaml.safe_dump(build)))
    assert used == {*build["substitutions"], "_IMAGE"}
