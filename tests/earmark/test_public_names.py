"""The public names of `earmark`, the examples in their docstrings, and what the import loads."""

import ast
import doctest
import subprocess
import sys

import pytest

import earmark
from earmark.pipeline import python_api
from earmark.pipeline.python_api import job_options
from tests.support.jobs import TINY, annotations
from tests.support.paths import EXAMPLES, ROOT

SCENES = EXAMPLES / "scenes" / "manifest.jsonl"


def test_every_public_name_can_be_imported():
    assert sorted(earmark.__all__) == sorted(set(earmark.__all__))
    for name in earmark.__all__:
        assert getattr(earmark, name).__doc__, name
    assert set(earmark.__all__) <= set(dir(earmark))


def test_type_checkers_see_the_same_names():
    tree = ast.parse((ROOT / "earmark/__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {alias.name: node.module for node in block.body for alias in node.names}
    assert typed == earmark._MODULE_OF
    assert typed.keys() == set(earmark.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'earmark' has no attribute 'Recordings'"):
        _ = earmark.Recordings


@pytest.mark.process
def test_importing_earmark_loads_neither_beam_nor_torch():
    code = "import earmark, sys; print(sorted({'apache_beam', 'torch', 'numpy', 'pyarrow'} & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bach_s": 60}, "there is no option bach_s"), ({"task": ["x"]}, "--task=x does not work")],
)
def test_wrong_options_are_job_errors(options, message, tmp_path):
    with pytest.raises(earmark.JobError, match=message):
        earmark.annotate(str(SCENES), str(tmp_path / "out"), model=str(TINY), **options)


def test_names_may_be_one_string_or_a_list():
    job = job_options("caption,emotion", ["a", "caption=b"], {"label_map": ["emotion.x=y"], "limit": 3})
    assert (job.task, job.model) == (("caption", "emotion"), ("a", "caption=b"))
    assert (job.label_map, job.limit) == (("emotion.x=y",), 3)


@pytest.mark.model
def test_annotate_does_what_the_command_does_and_returns_the_summary(tmp_path):
    job = {"task": ["caption", "emotion"], "model": str(TINY), "limit": 3}
    summary = earmark.annotate(str(SCENES), str(tmp_path / "out"), **job)
    assert (summary.annotated, summary.failed, summary.adds_up) == (3, 0, True)
    written = annotations(tmp_path / "out")
    assert [row["id"] for row in written] == [str(EXAMPLES / f"scenes/000{index}.flac") for index in range(3)]
    assert all(row["caption"]["text"] and row["emotion"]["label"] for row in written)
    resumed = earmark.annotate(str(SCENES), str(tmp_path / "out"), **job)
    assert (resumed.annotated, annotations(tmp_path / "out")) == (0, written)


@pytest.mark.model
@pytest.mark.parametrize("module", [earmark, python_api], ids=["the package", "annotate"])
def test_the_examples_of_the_docstrings_run(module, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    ran = doctest.testmod(module)
    assert (ran.failed, ran.attempted > 3) == (0, True)
