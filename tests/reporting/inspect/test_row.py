"""`earmark inspect`: everything about one row, printed without control characters."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

import earmark.pipeline.views.inspect
from earmark.pipeline.cli import main
from earmark.reporting.inspect.row import inspect_row
from earmark.reporting.text.plain_text import visible
from earmark.schemas.answers.label import LabelAnswer, LabelScore
from earmark.schemas.answers.spoken import TextSegment
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.answers.vector import VectorAnswer
from earmark.schemas.job import JobOptions
from earmark.schemas.job_description import JobDescription
from earmark.schemas.records import Annotation, AudioFacts, PartReport, Recording
from earmark.schemas.tables import annotations_table
from earmark.schemas.tasks import BUILT_IN
from earmark.transforms.output.store import JOB_PATH, OutputStore, encode_part
from tests.support.audio.noise import write_noise
from tests.support.jobs import annotations, run_here, write_manifest, write_tones
from tests.support.outputs.builder import Row, write_output


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """A real run over eight tones, a part of one channel, and a missing file."""
    folder = tmp_path_factory.mktemp("inspected")
    rows = write_tones(folder / "audio", 8)
    rows[2]["text"] += " and a bit"
    rows[3] |= {"emotion": "joy", "note": "recorded at night"}
    stereo = write_noise(folder / "audio" / "stereo.wav", 2.0, channels=2)
    part = {"id": "part", "audio_filepath": str(stereo), "offset": 1.25, "duration": 0.7, "channel": 1}
    missing = {"id": "missing", "audio_filepath": str(folder / "audio" / "missing.wav")}
    manifest = write_manifest(folder / "m.jsonl", [*rows, part, missing])
    run_here(manifest, folder / "out", task=("transcribe", "emotion", "caption"), shard_rows=3)
    return folder / "out"


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setattr(earmark.pipeline.views.inspect, "console", Console(width=200))


def print_row(capsys, *arguments):
    assert main(["inspect", *map(str, arguments)]) == 0
    return capsys.readouterr().out


@pytest.mark.model
def test_all_fields_of_a_row_in_the_output_are_printed(output, wide, capsys):
    text = " ".join(print_row(capsys, output, "r0003").split())
    (row,) = (row for row in annotations(output) if row["id"] == "r0003")
    run = json.loads(next(output.glob("_earmark/runs/*/run.json")).read_text())
    for expected in (
        row["uri"],
        f"{row['audio']['duration_s']:.2f} s, speech in 0 %",
        "pcm_16, 16000 Hz, 1 channel",
        f"transcribe confidence 61 % en {row['transcribe']['text']}",
        "neutral ████████████████████████ 1.000 joy 0.000",
        "reference (emotion): joy",
        f"caption confidence 61 % prompt: {row['caption']['prompt']} {row['caption']['text']}",
        "note recorded at night",
        f"run {run['run_id']} (earmark {run['libraries']['earmark']}, on {run['host']})",
        f"manifest {output.parent / 'm.jsonl'}",
        'for models that take one: base checkpoints "Detect the language and recognize the speech: {language_tag}"',
        "as in _earmark/job.json",
    ):
        assert expected in text


def test_a_transcript_is_aligned_with_its_reference_word_for_word(output, wide, capsys):
    lines = [line.strip() for line in print_row(capsys, output, "r0002").splitlines()]
    (wer,) = (index for index, line in enumerate(lines) if line.startswith("WER"))
    assert lines[wer] == (
        "WER 37.5 %: 0 substituted, 3 deleted, 0 inserted, of 8 words (normalised by whisper-english)"
    )
    assert lines[wer + 1].endswith("AND A BIT") and lines[wer + 2].endswith("··· · ···")


def test_json_has_the_same_content_and_is_alone_on_stdout(output, capsys):
    inspection = json.loads(print_row(capsys, output, "part", "--json"))
    (row,) = (row for row in annotations(output) if row["id"] == "part")
    annotation = inspection["annotation"]
    assert inspection["failure"] is None
    assert annotation["audio"] == row["audio"]
    assert [answer["answer"] for answer in annotation["answers"]] == [row["transcribe"], row["emotion"], row["caption"]]
    assert (annotation["source"]["offset_s"], annotation["source"]["channel"]) == (1.25, 1)
    part = output / annotation["provenance"]["part"]
    assert annotation["provenance"]["part_key"] in part.name and part.exists()


def test_a_failure_is_printed_with_its_error_and_the_remedy(output, wide, capsys):
    text = " ".join(print_row(capsys, output, "missing").split())
    assert "failed in DecodeAudio: not_found" in text
    assert "look at the manifest, or --audio_root" in text
    assert "The next `earmark annotate` tries it again" in text
    assert "part annotations/" in text
    inspection = json.loads(print_row(capsys, output, "missing", "--json"))
    assert inspection["annotation"] is None
    assert inspection["failure"]["failure"]["error"] == "not_found"


@pytest.mark.model
def test_an_unreadable_row_of_the_manifest_is_found_by_its_line(tmp_path, capsys):
    rows = write_tones(tmp_path / "audio", 2)
    manifest = write_manifest(tmp_path / "m.jsonl", [*rows, {"id": "x", "text": "no audio"}])
    run_here(manifest, tmp_path / "out")
    text = " ".join(print_row(capsys, tmp_path / "out", f"{manifest}:3").split())
    assert "failed in ReadManifest: no_audio" in text
    assert "part annotations/" not in text


CONTROLS = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202e[bold]x[/bold]\r\nnext"
ESCAPED = r"\x1b]0;title\x07\x1b[31mred\x9b2J\u202e[bold]x[/bold]\r\nnext"


def test_control_characters_are_escaped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(earmark.pipeline.views.inspect, "console", Console(width=400, force_terminal=True))
    texts = [f"{CONTROLS} {word}" for word in ("id", "answer", "reference", "extra", "uri")]
    id, answer, reference, extra, uri = texts
    rows = [Row(id, {"transcribe": answer}, reference, extra={extra: extra}, uri=uri), Row(f"{id} failed", None)]
    store = write_output(tmp_path / "out", rows)
    text = print_row(capsys, store.root, id) + print_row(capsys, store.root, f"{id} failed")
    for word in ("id", "answer", "reference", "extra", "uri"):
        assert f"{ESCAPED} {word}" in text
    for raw in ("\x1b]0", "\x1b[31mred", "\x07", "\x9b", "\u202e", "\r"):
        assert raw not in text
    printed = print_row(capsys, store.root, id, "--json")
    assert not {"\x1b", "\x9b", "\u202e", "\x07", "\r"} & set(printed)
    assert json.loads(printed)["annotation"]["id"] == id
    assert main(["inspect", store.root, id.replace("title", "titel")]) == 1
    printed = capsys.readouterr().err
    assert f"did you mean {ESCAPED} id" in printed and not {"\x1b", "\x9b", "\r"} & set(printed)


def test_joined_emoji_accents_and_other_scripts_stay_unchanged():
    for text in ("👩\u200d🚀", "e\u0301", "क\u094d\u200dष", "你好", "[not markup]"):
        assert visible(text) == text


def test_answers_of_every_kind_are_read_back_as_they_were_written(tmp_path, wide, capsys):
    tasks = ("transcribe", "translate", "emotion", "analyze")
    answers = {"transcribe": "a b", "translate": "", "emotion": "joy", "analyze": "yes"}
    store = write_output(tmp_path / "out", [Row("a", answers)], task=tasks, prompt="Is it?")
    row = inspect_row(store.root, "a").annotation
    assert row is not None
    transcript, translation, emotion = (inspected.answer for inspected in row.answers[:3])
    assert transcript == Transcript("a b", "en", -0.5)
    assert translation == Transcript("", "en", -0.5, flags=("empty",))
    assert isinstance(emotion, LabelAnswer) and emotion.score == 0.75
    assert row.answers[2].confidence == 0.75
    assert row.answers[0].confidence == pytest.approx(np.exp(-0.5))
    text = print_row(capsys, store.root, "a")
    assert "translate  confidence 61 %  en  empty" in text
    assert "joy       ██████████████████        0.750" in text


def test_segments_have_times_long_lists_of_labels_are_cut_and_vectors_are_summarised(tmp_path, wide, capsys):
    by_name = {task.name: task for task in BUILT_IN}
    labels = tuple(f"label{number:02d}" for number in range(20))
    event = dataclasses.replace(by_name["emotion"], name="event", labels=labels)
    tasks = (by_name["transcribe"], event, dataclasses.replace(by_name["embed"], dimensions=5))
    segments = (TextSegment(3599.5, 3600.25, "one", -0.1), TextSegment(3600.25, 7205.0, "two", None))
    answers = {
        "transcribe": Transcript("one two", "en", -0.2, segments, ("truncated",)),
        "event": LabelAnswer("label19", None, tuple(LabelScore(name, n / 190) for n, name in enumerate(labels)), None),
        "embed": VectorAnswer((3.0, 4.0, 0.0, 0.0, 0.0)),
    }
    recording = Recording("a", "gs://b/x.parquet#row=7", 3599.5, channel=1)
    facts = AudioFacts(3605.5, 8000, 2, "flac", -20.0, -3.0, 0.25, 0.5, 4000.0, 12.0)
    store = OutputStore(str(tmp_path / "out"))
    job = JobDescription.of(JobOptions(), dict.fromkeys(tasks, "made"), "none")
    store.create(JOB_PATH, job.to_json().encode())
    table = annotations_table([Annotation(recording, facts, answers)], tasks)
    store.create(store.part_path("ab"), encode_part(table, PartReport("ab", 1, ()), "run", job.fingerprint))
    lines = [" ".join(line.split()) for line in print_row(capsys, store.root, "a").splitlines()]
    for expected in (
        "container row 7 of gs://b/x.parquet, counted from 0",
        "from 59:59.50 (3599.5 s)",
        "channel 1, counted from 0",
        "source flac, 8000 Hz, 2 channels",
        "level -20.0 dBFS, peak -3.0 dBFS, 25 % clipped, SNR 12.0 dB",
        "transcribe confidence 82 % en truncated",
        "59:59.50 - 1:00:00.25 90 % one",
        "1:00:00.25 - 2:00:05.00 two",
        "label19",
        "and 8 more",
        "5 numbers of length 5.0000: 3.0000, 4.0000, 0.0000, 0.0000, …",
    ):
        assert expected in lines
    first = next(index for index, line in enumerate(lines) if line.startswith("label19 █"))
    assert lines[first + 11].startswith("label08 ") and lines[first + 12] == "and 8 more"
    answer = json.loads(print_row(capsys, store.root, "a", "--json"))["annotation"]["answers"][2]["answer"]
    assert answer == {"vector": [3.0, 4.0, 0.0, 0.0, 0.0]}


@pytest.mark.process
def test_inspecting_loads_neither_beam_nor_torch(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, "x")])
    code = (
        "import sys, earmark.pipeline.cli\n"
        "earmark.pipeline.cli.main(sys.argv[1:])\n"
        "print('heavy:', {'apache_beam', 'torch', 'transformers', 'librosa'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, "inspect", str(tmp_path / "out"), "a"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("heavy: set()\n")
