"""Engines of other packages: the example, installed and used as a user does, and packages with mistakes."""

import dataclasses
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import soundfile

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.plugins.engine import CheckedEngine
from earmark.model.plugins.entry_points import OwnEngine, find_own_engine
from earmark.model.source import check_options, check_source, find_source, open_source
from earmark.schemas.answers.label import LabelAnswer
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.answers.vector import VectorAnswer
from earmark.schemas.errors import JobError, MachineError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts, Clip, Recording
from earmark.schemas.tasks import new_task
from tests.support.jobs import EXAMPLES, annotations, command_line, failures, write_manifest, write_tone

OWN = EXAMPLES / "own-engine"
CAPTION, EMBED = (JobOptions(task=(name,)).tasks()[0] for name in ("caption", "embed"))
NOISE = new_task("noise", {"prompt": "Is there noise?", "labels": ["yes", "no"]})
FACTS = AudioFacts(0.0, SAMPLE_RATE_HZ, 1, "flac", 0.0, 0.0, 0.0)
CLIPS = [Clip(Recording(id=name, uri=name), np.ones(SAMPLE_RATE_HZ, np.float32), FACTS) for name in "ab"]
GOOD = """
    class Engine:
        def __init__(self, argument, options):
            self.argument = argument
        def annotate(self, clips, tasks):
            return []
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with the engine `mine` on the path, as an installer would."""

    def put(source, package="theirs", version="1.0", target="Engine"):
        folder = tmp_path / f"{package}-{version}"
        about = folder / f"{package}-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (about / "entry_points.txt").write_text(f"[earmark.engines]\nmine = {package}_module:{target}\n")
        (folder / f"{package}_module.py").write_text(textwrap.dedent(source))
        monkeypatch.delitem(sys.modules, f"{package}_module", raising=False)
        monkeypatch.syspath_prepend(folder)
        return str(folder)

    return put


def check(name, *tasks, here=True):
    return check_source(find_source(name), JobOptions(), tasks or (CAPTION,), here)


@pytest.mark.process
def test_the_example_labels_a_corpus(tmp_path):
    installed = tmp_path / "installed"
    shutil.copytree(OWN, tmp_path / "own-engine")
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", installed)
    subprocess.run([sys.executable, "-m", "pip", "install", *options, tmp_path / "own-engine"], check=True)
    rows = [
        {"id": name, "audio_filepath": str(write_tone(tmp_path / f"{name}.wav", amplitude=amplitude))}
        for name, amplitude in (("loud", 0.5), ("quiet", 0.005), ("silent", 0.0))
    ]
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    arguments = ("annotate", manifest, tmp_path / "out", "--model", "loudness:-20", "--config", OWN / "job.yaml")
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    run = subprocess.run(command_line(*arguments), capture_output=True, text=True, timeout=600, env=environment)
    assert run.returncode == 0, run.stderr
    for row in annotations(tmp_path / "out"):
        samples = soundfile.read(tmp_path / f"{row['id']}.wav")[0]
        assert row["level"]["text"] == f"{10 * np.log10(np.mean(samples**2)):.1f} dBFS"
        assert (row["level"]["prompt"], row["side"]["label"]) == ("How loud is it?", row["id"])
    assert [row["id"] for row in annotations(tmp_path / "out")] == ["loud", "quiet"]
    assert [(row["id"], row["error"]) for row in failures(tmp_path / "out")] == [("silent", "silent")]
    job = (tmp_path / "out" / "_earmark" / "job.json").read_text()
    assert "entry point loudness of earmark-loudness 0.1.0 with '-20'" in job


def test_a_name_that_no_package_has_is_refused_with_the_installed_ones(install):
    with pytest.raises(JobError, match=r"no package on .* has an engine called salmonn .*; installed: none\)"):
        find_source("salmonn:/weights")
    install(GOOD)
    with pytest.raises(
        JobError, match=r"--model=salmonn:/weights: .*installed: mine\); install the package that has it"
    ):
        find_source("salmonn:/weights")


def test_a_name_that_two_packages_have_is_refused(install):
    install(GOOD, package="theirs")
    install(GOOD, package="others")
    with pytest.raises(JobError, match="others and theirs both have an engine called mine; uninstall one"):
        find_source("mine:")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (
            "import no_such_module",
            "Engine",
            "importing entry .* raised ModuleNotFoundError: .*'no_such_module'; repair",
        ),
        (
            "raise SystemExit('usage: me')",
            "Engine",
            "importing entry .* raised SystemExit: usage: me; repair",
        ),
        ("x = 1", "Engine", "importing entry .* raised AttributeError: .*'Engine'; repair"),
        ("Engine = 3", "Engine", "entry point mine of theirs 1.0 is 3; let it name a class or a function"),
        ("def Engine(argument, options): raise ValueError('bad\\nweights')", "Engine", "ValueError: bad weights; give"),
        ("def Engine(argument): pass", "Engine", "TypeError: .*; give it another argument than 'x', or repair the pac"),
        (
            "def Engine(argument, options): return object()",
            "Engine",
            "of type object, which has no annotate.*; let it",
        ),
        (GOOD + "        check = lambda *_: 1 / 0", "Engine", "check of entry .* ZeroDivisionError.*; let it raise a"),
        (GOOD + "        check = lambda *_: ()", "Engine", "its check returned other tasks than it was given"),
    ],
)
def test_a_package_with_a_mistake_is_named_before_the_run(install, source, target, message):
    install(source, target=target)
    with pytest.raises(JobError, match=message) as refused:
        check("mine:x")
    assert str(refused.value).startswith("model mine:x: ") and "\n" not in str(refused.value)


@pytest.mark.parametrize("module", ["schemas.errors", "model", "transforms.annotate"])
def test_an_engine_that_imports_earmarks_modules_by_their_former_names_is_sent_to_earmark(install, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)  # which is on the path of these tests
    install(f"from {module} import RowError" + textwrap.dedent(GOOD))
    message = (
        rf"^model mine:x: importing entry point mine of theirs 1\.0 raised ModuleNotFoundError: .*{module}.*;"
        r" import earmark's names from earmark: from earmark import RowError$"
    )
    with pytest.raises(JobError, match=message):
        check("mine:x")


def test_an_import_that_an_engine_delays_is_sent_to_earmark(monkeypatch):
    monkeypatch.setitem(sys.modules, "schemas", None)

    class Importing:
        def annotate(self, clips, tasks):
            import schemas.errors  # noqa: F401

    with pytest.raises(JobError, match=r"annotate raised ModuleNotFoundError: .*; import earmark's names from earmark"):
        CheckedEngine("mine:", Importing()).annotate(CLIPS, (CAPTION,))


def test_an_error_of_the_engines_own_is_passed_on_unchanged(install):
    install(
        """
        from earmark import JobError
        def Engine(argument, options):
            raise JobError("use --device=cuda")
        """
    )
    with pytest.raises(JobError, match=r"^use --device=cuda$"):
        check("mine:")


def test_its_check_fills_in_labels_and_dimensions(install):
    classifier = new_task("sound", {"labels": "checkpoint"})
    install(GOOD)
    with pytest.raises(JobError, match=r"mine: does not set the length of its vectors; let its check set embed\.dim"):
        check("mine:", EMBED)
    with pytest.raises(JobError, match=r"mine: does not set its labels; let its check set sound\.labels"):
        check("mine:", classifier)
    install(
        GOOD
        + """
        @staticmethod
        def check(argument, options, tasks):
            import dataclasses
            return [dataclasses.replace(task, dimensions=4, labels=("dog", argument)) for task in tasks]
        """,
        version="2.0",
    )
    filled = check("mine:cat", EMBED, classifier)
    assert [(task.dimensions, task.labels) for task in filled] == [(4, ("dog", "cat"))] * 2


def test_an_engine_that_runs_on_this_machine_is_opened_once_and_before_the_run(install):
    install(
        """
        opened = []
        class Engine:
            annotate = None.__eq__
            def __init__(self, argument, options):
                opened.append(argument)
        """
    )
    source, options = find_source("mine:x"), JobOptions()
    check_source(source, options, (CAPTION,), here=False)
    module = sys.modules["theirs_module"]
    assert module.opened == []
    check_source(source, options, (CAPTION,), here=True)
    open_source(source, options)
    assert module.opened == ["x"]


def test_an_engine_may_use_every_option(install):
    install(GOOD)
    check_options([find_source("mine:")], JobOptions(timestamps=True, beam_size=5))


class Returning:
    """An engine that returns the same results for any clips and tasks."""

    def __init__(self, results):
        self._results = results

    def annotate(self, clips, tasks):
        if isinstance(self._results, Exception):
            raise self._results
        return [self._results for _ in clips] if not isinstance(self._results, list) else self._results


CAPTIONED = TextAnswer("a dog", "What is it?", None)


@pytest.mark.parametrize(
    ("task", "results", "message"),
    [
        (CAPTION, [{"caption": CAPTIONED}], "model mine: answered 1 of 2 clips; return one for each"),
        (CAPTION, {}, "answered recording a with 'answers to nothing'; return a RowError or answers to caption"),
        (CAPTION, {"captions": CAPTIONED}, "'answers to captions'; return a RowError or answers to caption"),
        (CAPTION, "a dog", "with 'a dog'; return a RowError or answers to caption"),
        (CAPTION, {"caption": "a dog"}, "with 'a dog' to caption; return an earmark.TextAnswer"),
        (CAPTION, {"caption": Transcript("a dog", "en", None)}, "to caption; return an earmark.TextAnswer"),
        (CAPTION, {"caption": dataclasses.replace(CAPTIONED, text=7)}, "with what cannot be written: .*int"),
        (CAPTION, {"caption": dataclasses.replace(CAPTIONED, segments=("dog",))}, "with what cannot be written"),
        (NOISE, {"noise": LabelAnswer("maybe", 1.0, (), None)}, "with 'maybe' to noise; choose from yes, no"),
        (dataclasses.replace(EMBED, dimensions=3), {"embed": VectorAnswer((1.0, 2.0))}, "cannot be written: .*3"),
        (CAPTION, ValueError("no CUDA"), "annotate raised ValueError: no CUDA; return a RowError for .*, and raise a"),
        (CAPTION, RowError("bad", "bad one"), "annotate raised RowError: .*; return a RowError for a recording"),
    ],
)
def test_an_invalid_answer_stops_the_job_and_names_the_engine(task, results, message):
    with pytest.raises(JobError, match=message) as refused:
        CheckedEngine("mine:", Returning(results)).annotate(CLIPS, (task,))
    assert str(refused.value).startswith("model mine:")


def test_answers_and_failures_are_passed_on():
    results = [{"caption": CAPTIONED}, RowError("silent", "there is no sound")]
    assert CheckedEngine("mine:", Returning(results)).annotate(CLIPS, (CAPTION,)) == results
    with pytest.raises(MachineError, match="device lost"):
        CheckedEngine("mine:", Returning(MachineError("device lost"))).annotate(CLIPS, (CAPTION,))


def test_it_is_identified_by_package_version_argument_and_the_content_of_its_folder(install, tmp_path):
    install(GOOD)
    weights = tmp_path / "weights"
    (weights / "deep").mkdir(parents=True)
    (weights / "deep" / "w.pth").write_bytes(b"1")
    first = find_own_engine(f"mine:{weights}").identity
    shutil.copytree(weights, tmp_path / "elsewhere")
    (weights / "__pycache__").mkdir()
    (weights / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    (weights / ".git").mkdir()
    (weights / ".git" / "HEAD").write_text("ref")
    same = [find_own_engine(f"mine:{folder}").identity for folder in (weights, tmp_path / "elsewhere")]
    assert same == [first, first] and str(tmp_path) not in first
    (weights / "deep" / "w.pth").write_bytes(b"2")
    changed = [find_own_engine(name).identity for name in (f"mine:{weights}", "mine:", "mine:big", "mine:bigger")]
    install(GOOD, version="1.1")
    changed.append(find_own_engine("mine:").identity)
    assert len({first, *changed}) == 6
    assert find_own_engine(f"mine:{weights / 'deep' / 'w.pth'}").content != ""


def test_a_worker_must_have_the_same_engine(install, tmp_path, monkeypatch):
    folder = install(GOOD)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(b"1")
    sources = [find_source(name) for name in ("mine:x", f"mine:{tmp_path / 'weights'}")]
    launched, with_folder = (dataclasses.replace(source, machine="launcher") for source in sources)
    assert isinstance(launched, OwnEngine)
    assert isinstance(open_source(launched, JobOptions()), CheckedEngine)
    (tmp_path / "weights" / "w.bin").write_bytes(b"2")
    with pytest.raises(JobError, match=r"with sha256:.* on .*, but was .* on launcher .*; install the same there"):
        open_source(with_folder, JobOptions())
    shutil.rmtree(tmp_path / "weights")
    with pytest.raises(MachineError, match=r"there is no .*weights on .*; put it on every machine"):
        open_source(with_folder, JobOptions())
    with pytest.raises(JobError, match=r"is entry point mine of theirs 1\.0 .*, but was .* theirs 0\.9"):
        open_source(dataclasses.replace(launched, version="0.9"), JobOptions())
    sys.path.remove(folder)
    with pytest.raises(MachineError, match=r"no package on .* called mine .*; the job was started on launcher"):
        open_source(launched, JobOptions())


@pytest.mark.parametrize("name", ["gs://bucket/model", "file:///model", "simplecache::s3://bucket/model"])
def test_urls_stay_urls(name, monkeypatch):
    names: list[str] = []
    monkeypatch.setattr("earmark.model.source.find_checkpoint", names.append)
    find_source(name)
    assert names == [name]


def test_a_folder_whose_name_has_a_colon_stays_a_folder(tmp_path, monkeypatch):
    (tmp_path / "mine:1").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_source("mine:1").identity == find_checkpoint(str(tmp_path / "mine:1")).identity
