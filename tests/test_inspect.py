"""`earmark inspect`: all of one row, found among many, shown without harm, and played as it was heard."""

import dataclasses
import json
import subprocess
import sys
import uuid

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import soxr
from rich.console import Console

import pipeline.inspect_page
from pipeline import compact
from pipeline.cli import main
from pipeline.compact import compact_store
from reporting.find_row import find_row, near_ids
from reporting.heard_audio import AudioSource, heard_wav
from reporting.inspect_row import inspect_row
from reporting.plain_text import visible
from reporting.players import PLAYERS, find_player
from schemas.errors import JobError, RowError
from schemas.job import JobOptions
from schemas.job_description import JobDescription
from schemas.manifest import ManifestShape
from schemas.records import (
    Annotation,
    AudioFacts,
    Failure,
    LabelAnswer,
    LabelScore,
    PartReport,
    Recording,
    TextSegment,
    Transcript,
    VectorAnswer,
)
from schemas.tables import annotations_table
from schemas.tasks import BUILT_IN
from tests.containers import samples_of, write_audio_parquet, write_tar
from tests.jobs import annotations, run_here, write_manifest, write_tone, write_tones
from tests.made_outputs import Row, write_output
from tests.players import only_on_path, put_player
from transforms.decode_recordings import DecodeRequest, decode_requests
from transforms.output_store import JOB_PATH, OutputStore, encode_part

RATE_HZ = 44_100


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    """44.1 kHz stereo of noise, which no two parts of are alike."""
    folder = tmp_path_factory.mktemp("stereo")
    noise = np.random.default_rng(5).uniform(-0.5, 0.5, (3 * RATE_HZ + 17, 2))
    soundfile.write(folder / "noise.flac", noise, RATE_HZ)
    return folder / "noise.flac"


@pytest.fixture(scope="module")
def listened(tmp_path_factory, stereo):
    """A real run: eight tones, two parts of one file, and a file that is not there."""
    folder = tmp_path_factory.mktemp("listened")
    rows = write_tones(folder / "audio", 8)
    rows[2]["text"] += " and a bit"
    rows[3] |= {"emotion": "joy", "note": "said at night"}
    part = {"id": "part", "audio_filepath": str(stereo), "offset": 1.25, "duration": 0.7, "channel": 1}
    whole = {"id": "whole", "audio_filepath": str(stereo)}
    gone = {"id": "gone", "audio_filepath": str(folder / "audio" / "gone.wav")}
    manifest = write_manifest(folder / "m.jsonl", [*rows, part, whole, gone])
    run_here(manifest, folder / "out", task=("transcribe", "emotion", "caption"), shard_rows=3)
    return folder / "out"


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setattr(pipeline.inspect_page, "console", Console(width=200))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(compact, "LISTING_S", 0.0)


def shown(capsys, *arguments):
    assert main(["inspect", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_a_row_is_shown_with_all_that_the_output_has_of_it(listened, wide, capsys):
    said = " ".join(shown(capsys, listened, "r0003").split())
    (row,) = (row for row in annotations(listened) if row["id"] == "r0003")
    run = json.loads(next(listened.glob("_earmark/runs/*/run.json")).read_text())
    for expected in (
        row["uri"],
        f"{row['audio']['duration_s']:.2f} s, speech in 0 %",
        "pcm_16, 16000 Hz, 1 channel",
        f"transcribe confidence 61 % en {row['transcribe']['text']}",
        "neutral ████████████████████████ 1.000 joy 0.000",
        "reference (emotion): joy",
        f"caption confidence 61 % asked: {row['caption']['prompt']} {row['caption']['text']}",
        "note said at night",
        f"run {run['run_id']} (earmark {run['libraries']['earmark']}, on {run['host']})",
        f"manifest {listened.parent / 'm.jsonl'}",
        'where it is asked in words: base checkpoints "Detect the language and recognize the speech: {language_tag}"',
        "as _earmark/job.json",
    ):
        assert expected in said


def test_a_transcript_is_aligned_with_its_reference_word_for_word(listened, wide, capsys):
    lines = [line.strip() for line in shown(capsys, listened, "r0002").splitlines()]
    (at,) = (index for index, line in enumerate(lines) if line.startswith("WER"))
    assert lines[at] == ("WER 37.5 %: 0 substituted, 3 deleted, 0 inserted, of 8 words (normalised by whisper-english)")
    assert lines[at + 1].endswith("AND A BIT") and lines[at + 2].endswith("··· · ···")


def test_json_is_all_there_is_on_stdout_and_says_the_same(listened, capsys):
    found = json.loads(shown(capsys, listened, "part", "--json"))
    (row,) = (row for row in annotations(listened) if row["id"] == "part")
    one = found["annotation"]
    assert found["failure"] is None
    assert one["audio"] == row["audio"]
    assert [answer["answer"] for answer in one["answers"]] == [row["transcribe"], row["emotion"], row["caption"]]
    assert (one["source"]["offset_s"], one["source"]["channel"]) == (1.25, 1)
    part = listened / one["made_by"]["part"]
    assert one["made_by"]["part_key"] in part.name and part.exists()


def test_a_failed_id_is_shown_with_its_error_and_what_to_do(listened, wide, capsys):
    said = " ".join(shown(capsys, listened, "gone").split())
    assert "failed in DecodeAudio: not_found" in said
    assert "look at the manifest, or --audio_root" in said
    assert "The next `earmark annotate` tries it again" in said
    assert "part annotations/" in said
    found = json.loads(shown(capsys, listened, "gone", "--json"))
    assert found["annotation"] is None
    assert found["failure"]["failure"]["error"] == "not_found"


def test_a_row_of_the_manifest_that_cannot_be_read_is_found_by_its_line(tmp_path, capsys):
    rows = write_tones(tmp_path / "audio", 2)
    manifest = write_manifest(tmp_path / "m.jsonl", [*rows, {"id": "x", "text": "no audio"}])
    run_here(manifest, tmp_path / "out")
    said = " ".join(shown(capsys, tmp_path / "out", f"{manifest}:3").split())
    assert "failed in ReadManifest: no_audio" in said
    assert "part annotations/" not in said


def test_an_annotation_stands_above_a_failure_and_a_later_failure_above_an_earlier(tmp_path):
    write_output(tmp_path / "out", [Row("a", None), Row("b", None)])
    store = write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}), Row("c", {"transcribe": "x"})])
    assert inspect_row(store.root, "a").annotation is not None
    later = Failure("b", "/b.wav", "Annotate", "label", "none of the labels; ask again", "run2")
    report = PartReport("ab" * 16, 0, (later,))
    store.create(store.part_path(report.key), encode_part(annotations_table([], ()), report, "run2", "another"))
    found = inspect_row(store.root, "b").failure
    assert found is not None and found.failure == later
    assert (found.made_by.run_id, found.made_by.is_of_this_job) == ("run2", False)


def test_an_output_without_parts_has_no_recording_and_one_that_is_compacted_meanwhile_says_so(tmp_path, monkeypatch):
    store = OutputStore(str(tmp_path / "out"))
    store.create(JOB_PATH, JobDescription.of(JobOptions(), {}, "none").to_json().encode())
    with pytest.raises(JobError, match=r"out has no recording a$"):
        inspect_row(store.root, "a")
    monkeypatch.setattr(OutputStore, "parts", lambda self: ["annotations/ab/part-gone.parquet"])
    with pytest.raises(JobError, match=r"part-gone.parquet.* it went while it was read.*; start again"):
        inspect_row(store.root, "a")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("corpus/clip_000012", "corpus/clip-000012"),
        ("corpsu/clip-000012", "corpus/clip-000012"),
        ("clip-000012", "corpus/clip-000012"),
        ("corpus/clip-000021x", "corpus/clip-000021"),
        ("CLIP-000021", "corpus/clip-000021"),
        ("corpus/fialed-000060", "corpus/failed-000060"),
    ],
)
def test_an_id_that_is_not_there_leads_to_those_that_are_near(many, asked, meant):
    with pytest.raises(JobError, match=f"has no recording {asked}; did you mean {meant}"):
        inspect_row(many.root, asked)


def test_an_id_unlike_all_others_leads_nowhere_and_is_status_1(many, capsys):
    assert near_ids(many, "something else") == []
    assert main(["inspect", many.root, "something else"]) == 1
    assert capsys.readouterr().err == f"earmark: {many.root} has no recording something else\n"


@pytest.fixture(scope="module", params=["local", "memory"])
def many(request, tmp_path_factory):
    """300 rows in 43 parts, every thirtieth of them a failure."""
    local = request.param == "local"
    root = str(tmp_path_factory.mktemp("many") / "out") if local else f"memory://many-{uuid.uuid4().hex}"
    rows = [
        Row(f"corpus/failed-{number:06d}", None)
        if number % 30 == 0
        else Row(f"corpus/clip-{number:06d}", {"transcribe": f"number {number}"}, f"number {number}")
        for number in range(300)
    ]
    return write_output(root, rows, rows_a_part=7)


def test_every_id_is_found_on_any_store(many):
    assert len(many.parts()) == 43
    for number in range(1, 300, 13):
        found = inspect_row(many.root, f"corpus/clip-{number:06d}").annotation
        assert found is not None and found.answers[0].reference == f"number {number}"


def test_after_a_compaction_a_row_still_knows_the_part_that_its_run_wrote(tmp_path):
    rows = [Row(f"r{number:02d}", {"transcribe": "x"} if number % 5 else None) for number in range(20)]
    store = write_output(tmp_path / "out", rows, rows_a_part=3)
    before = {row.id: inspect_row(store.root, row.id) for row in rows}
    done = compact_store(store, 2**20)
    assert len(store.parts()) == 1
    for id, was in before.items():
        now = inspect_row(store.root, id)
        one, other = was.annotation or was.failure, now.annotation or now.failure
        assert one is not None and other is not None
        assert (one.made_by.run_id, one.made_by.part_key) == (other.made_by.run_id, other.made_by.part_key)
        assert (one.made_by.compaction, other.made_by.compaction) == ("", done.run_id)
        assert other.made_by.part == store.parts()[0]


def test_statistics_spare_the_parts_that_cannot_hold_an_id(tmp_path, monkeypatch):
    store = write_output(tmp_path / "out", [Row(f"r{n:02d}", {"transcribe": "x"}) for n in range(40)], rows_a_part=4)
    read = []
    original = pq.ParquetFile.read_row_group

    def counted(self, index, columns=None, **options):
        read.append(columns)
        return original(self, index, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    assert find_row(store, "r17") is not None
    assert read == [["id"], None], "the ids of one part, and then its rows"


def test_two_annotations_of_an_id_are_refused_with_both_parts(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}), Row("b", {"transcribe": "x"})])
    store = write_output(tmp_path / "out", [Row("a", {"transcribe": "y"})])
    one, other = store.parts()
    with pytest.raises(JobError, match=f"several annotations of a, in {one} and {other}"):
        inspect_row(store.root, "a")


def test_a_file_that_is_no_part_and_a_folder_that_is_no_output_are_named(tmp_path):
    store = write_output(tmp_path / "out", [Row("a", {"transcribe": "x"})])
    (tmp_path / "out" / "annotations" / "zz.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(JobError, match=r"zz.parquet is not a part that earmark wrote"):
        inspect_row(store.root, "a")
    with pytest.raises(JobError, match=f"{tmp_path} is not an output of earmark: it has no {JOB_PATH}"):
        inspect_row(str(tmp_path), "a")


HARMFUL = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202e[bold]x[/bold]\r\nnext"
SPELLED = r"\x1b]0;title\x07\x1b[31mred\x9b2J\u202e[bold]x[/bold]\r\nnext"


def test_what_would_steer_a_terminal_is_spelled_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pipeline.inspect_page, "console", Console(width=400, force_terminal=True))
    harmful = [f"{HARMFUL} {word}" for word in ("id", "answer", "reference", "extra", "uri")]
    id, answer, reference, extra, uri = harmful
    rows = [Row(id, {"transcribe": answer}, reference, extra={extra: extra}, uri=uri), Row(f"{id} failed", None)]
    store = write_output(tmp_path / "out", rows)
    said = shown(capsys, store.root, id) + shown(capsys, store.root, f"{id} failed")
    for word in ("id", "answer", "reference", "extra", "uri"):
        assert f"{SPELLED} {word}" in said
    for raw in ("\x1b]0", "\x1b[31mred", "\x07", "\x9b", "\u202e", "\r"):
        assert raw not in said
    told = shown(capsys, store.root, id, "--json")
    assert not {"\x1b", "\x9b", "\u202e", "\x07", "\r"} & set(told)
    assert json.loads(told)["annotation"]["id"] == id
    assert main(["inspect", store.root, id.replace("title", "titel")]) == 1
    told = capsys.readouterr().err
    assert f"did you mean {SPELLED} id" in told and not {"\x1b", "\x9b", "\r"} & set(told)


def test_joined_emoji_accents_and_other_scripts_stay_what_they_are():
    for text in ("👩\u200d🚀", "e\u0301", "क\u094d\u200dष", "你好", "[not markup]"):
        assert visible(text) == text


def test_answers_of_every_kind_are_read_back_as_they_were_written(tmp_path, wide, capsys):
    tasks = ("transcribe", "translate", "emotion", "analyze")
    answers = {"transcribe": "a b", "translate": "", "emotion": "joy", "analyze": "yes"}
    store = write_output(tmp_path / "out", [Row("a", answers)], task=tasks, prompt="Is it?")
    found = inspect_row(store.root, "a").annotation
    assert found is not None
    transcript, translation, emotion = (one.answer for one in found.answers[:3])
    assert transcript == Transcript("a b", "en", -0.5)
    assert translation == Transcript("", "en", -0.5, flags=("empty",))
    assert isinstance(emotion, LabelAnswer) and emotion.score == 0.75
    assert found.answers[2].confidence == 0.75
    assert found.answers[0].confidence == pytest.approx(np.exp(-0.5))
    said = shown(capsys, store.root, "a")
    assert "translate  confidence 61 %  en  empty" in said
    assert "joy       ██████████████████        0.750" in said


def test_segments_come_with_their_times_long_lists_of_labels_are_cut_and_vectors_are_shown_by_their_length(
    tmp_path, wide, capsys
):
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
    lines = [" ".join(line.split()) for line in shown(capsys, store.root, "a").splitlines()]
    for expected in (
        "container gs://b/x.parquet, its row 7, counted from 0",
        "from 59:59.50 (3599.5 s)",
        "channel 1, counted from 0",
        "source flac, 8000 Hz, 2 channels",
        "level -20.0 dBFS, peak -3.0 dBFS, 25 % clipped, speech 12.0 dB above the rest",
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
    answer = json.loads(shown(capsys, store.root, "a", "--json"))["annotation"]["answers"][2]["answer"]
    assert answer == {"vector": [3.0, 4.0, 0.0, 0.0, 0.0]}


def played(folder):
    samples, rate = soundfile.read(folder / "played.wav", dtype="float32")
    assert rate == 16_000
    return samples


def decoded(stereo, start=0, end=None, channel=None):
    """What the run's decoder makes of frames of the file, at 16 kHz."""
    frames, _ = soundfile.read(stereo, dtype="float32")
    frames = frames[start:end]
    mono = frames.mean(axis=1) if channel is None else frames[:, channel]
    return soxr.resample(mono, RATE_HZ, 16_000, "HQ")


def test_what_is_played_is_the_part_and_the_channel_that_was_heard(listened, stereo, tmp_path, monkeypatch, capsys):
    put_player(tmp_path / "bin", "aplay")
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(listened), "part", "--play"]) == 0
    expected = decoded(stereo, round(1.25 * RATE_HZ), round(1.95 * RATE_HZ), channel=1)
    found = played(tmp_path / "bin")
    assert len(found) == len(expected) == 11_200
    inner = slice(0, -100)  # the run's last samples fade where the next frames, which it had not, would come
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-4)
    (arguments,) = [json.loads((tmp_path / "bin" / "arguments.json").read_text())]
    assert arguments[0] == "-q" and arguments[1].endswith(".wav")
    assert "talks to stdout" not in capsys.readouterr().out


def test_a_whole_file_is_played_to_its_last_sample(listened, stereo, tmp_path, monkeypatch):
    put_player(tmp_path / "bin", "ffplay")
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(listened), "whole", "--play"]) == 0
    np.testing.assert_allclose(played(tmp_path / "bin"), decoded(stereo), atol=1e-4)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_of_any_rate_as_much_is_played_as_was_heard(tmp_path, rate):
    for frames in range(3 * rate // 10, 3 * rate // 10 + 7):
        path = str(tmp_path / "noise.wav")
        soundfile.write(path, np.random.default_rng(frames).uniform(-0.5, 0.5, frames), rate, subtype="FLOAT")
        (heard,) = decode_requests([DecodeRequest(Recording("a", path), 10.0, 10.0, 10**9, str(tmp_path))])
        assert not isinstance(heard, RowError)
        source = AudioSource.of(path, 0.0, None)
        wav = heard_wav(source, heard.facts.duration_s, ManifestShape(), OutputStore(str(tmp_path)))
        (tmp_path / "heard.wav").write_bytes(wav)
        found, _ = soundfile.read(tmp_path / "heard.wav", dtype="float32")
        np.testing.assert_allclose(found, np.clip(heard.samples, -1, 1), atol=1e-4)


@pytest.mark.parametrize(("container", "kept"), [("tar", True), ("tar", False), ("parquet", False)])
def test_audio_in_containers_is_named_and_played(tmp_path, monkeypatch, capsys, container, kept):
    rows = write_tones(tmp_path / "audio", 5)
    if container == "tar":
        manifest = write_tar(tmp_path / "a.tar", samples_of(rows))
    else:
        manifest = write_audio_parquet(tmp_path / "a.parquet", rows, group_rows=2)
    run_here(manifest, tmp_path / "out")
    if not kept:
        for index in tmp_path.glob("out/_earmark/containers/*"):
            index.unlink()
    put_player(tmp_path / "bin", "paplay")
    only_on_path(monkeypatch, tmp_path / "bin")
    before = sorted(path for path in (tmp_path / "out").rglob("*"))
    found = json.loads(shown(capsys, tmp_path / "out", "r0003", "--json", "--play"))["annotation"]
    assert sorted(path for path in (tmp_path / "out").rglob("*")) == before, "to look writes nothing"
    assert found["source"]["container"] == str(manifest)
    assert (found["source"]["member"], found["source"]["row"]) == (
        ("tone3.wav", None) if container == "tar" else ("", 3)
    )
    expected, _ = soundfile.read(rows[3]["audio_filepath"], dtype="float32")
    np.testing.assert_allclose(played(tmp_path / "bin"), expected, atol=1e-4)


def test_players_are_taken_in_a_fixed_order(tmp_path, monkeypatch):
    only_on_path(monkeypatch, tmp_path / "bin")
    assert find_player() is None
    for name, *_ in reversed(PLAYERS):
        put_player(tmp_path / "bin", name)
        player = find_player()
        assert player is not None and player.name == name


def test_where_there_is_no_player_the_audio_is_named(listened, tmp_path, monkeypatch, capsys):
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(listened), "r0001", "--play"]) == 1
    told = capsys.readouterr()
    uri = inspect_row(str(listened), "r0001").annotation.source.uri  # type: ignore[union-attr]
    assert told.err == (
        f"not played: there is no player here (looked for ffplay, play, aplay, paplay, afplay); the audio is {uri}\n"
    )
    assert "transcribe" in told.out


def test_nothing_is_played_into_a_pipe_unless_asked_for(listened, tmp_path, monkeypatch):
    put_player(tmp_path / "bin", "play")
    only_on_path(monkeypatch, tmp_path / "bin")
    for option in ("--silent", "--json"):
        assert main(["inspect", str(listened), "r0001", option]) == 0
    assert main(["inspect", str(listened), "r0001"]) == 0
    assert not (tmp_path / "bin" / "played.wav").exists()


def test_on_a_terminal_it_plays_by_itself_and_a_player_s_trouble_is_told(listened, tmp_path, monkeypatch, capsys):
    put_player(tmp_path / "bin", "play", status=3)
    only_on_path(monkeypatch, tmp_path / "bin")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["inspect", str(listened), "r0001"]) == 0
    assert capsys.readouterr().err == "not played: play could not play it: status 3\n"
    assert (tmp_path / "bin" / "played.wav").exists()
    assert main(["inspect", str(listened), "r0001", "--play"]) == 1


def test_audio_that_is_gone_and_a_failed_recording_are_not_played(tmp_path, monkeypatch, capsys):
    put_player(tmp_path / "bin", "play")
    path = write_tone(tmp_path / "a.wav")
    rows = [{"id": "a", "audio_filepath": str(path)}, {"id": "b", "audio_filepath": "/nowhere.wav"}]
    run_here(write_manifest(tmp_path / "m.jsonl", rows), tmp_path / "out")
    path.unlink()
    only_on_path(monkeypatch, tmp_path / "bin")
    assert main(["inspect", str(tmp_path / "out"), "a", "--play"]) == 1
    assert f"not played: there is no '{path}'" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "out"), "b", "--play"]) == 1
    assert "not played: it failed, so nothing was heard" in capsys.readouterr().err


def test_inspecting_loads_neither_beam_nor_torch(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}, "x")])
    code = (
        "import sys, pipeline.cli\n"
        "pipeline.cli.main(sys.argv[1:])\n"
        "print('heavy:', {'apache_beam', 'torch', 'transformers', 'librosa'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, "inspect", str(tmp_path / "out"), "a"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("heavy: set()\n")
