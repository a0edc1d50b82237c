"""`earmark benchmark`, from the folders of a data set to the measured and published scores."""

import json
import re
import signal
from typing import Any

import jiwer
import pytest
import sacrebleu
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

from earmark.pipeline.benchmark import ScoreOptions, run_benchmark
from earmark.pipeline.cli import main
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.scoring.benchmark_scores import Resampling
from earmark.scoring.judge_scores import JudgeScores
from earmark.scoring.scores import TaskScores
from earmark.transforms.output.store import OutputStore
from tests.support.audio import miniature_sets as miniature
from tests.support.jobs import PHONE_PROMPTS, TINY, annotations, manifest_lines, run_command
from tests.support.servers.judge_server import judging

pytestmark = pytest.mark.model

QUICK = ["--direct_num_workers=1"]


def run(name, data, output, judge="", **options):
    """Run a benchmark in this process, by default with the tiny Qwen2-Audio."""
    scoring = ScoreOptions(judge, Resampling(bootstrap=100))
    job = JobOptions(**{"model": (str(TINY),), **options})
    scores = run_benchmark(name, str(data), str(output), job, QUICK, scoring)
    assert scores is not None
    assert (output / "benchmark.json").read_text() == scores.to_json()
    return scores


def phone_prompts(count):
    """Return texts and audio files of phone prompts by ids in the form of LibriSpeech's."""
    rows = manifest_lines(PHONE_PROMPTS)[:count]
    names = [f"61-70968-{number:04d}" for number in range(count)]
    texts = {name: row["text"].upper() for name, row in zip(names, rows, strict=True)}
    return texts, {name: PHONE_PROMPTS.parent / row["audio_filepath"] for name, row in zip(names, rows, strict=True)}


def published_wer(references, hypotheses):
    """WER in percent, as eval_audio/evaluate_asr.py scores English."""
    english, basic = EnglishTextNormalizer(), BasicTextNormalizer()
    return 100 * jiwer.wer([basic(english(text)) for text in references], [basic(english(text)) for text in hypotheses])


def test_librispeech_is_scored_next_to_published_and_resumes_where_it_stopped(tmp_path):
    data = miniature.make_librispeech(tmp_path / "data", "test-clean", *phone_prompts(4))
    first = run("librispeech-test-clean", data, tmp_path / "out", model=("whisper-tiny.en",), limit=1, beam_size=1)
    assert (first.scored, first.recordings) == (1, 4)
    command = ("benchmark", "librispeech-test-clean", data, tmp_path / "out", "--model", "whisper-tiny.en", "--json")
    second = run_command(*command, "--beam_size", "1", "--bootstrap", "100", *QUICK)
    assert second.returncode == 0, second.stderr
    assert re.search(r"annotated before +1", second.stderr)
    scores = json.loads(second.stdout)
    assert json.loads((tmp_path / "out" / "benchmark.json").read_text()) == scores
    rows = annotations(tmp_path / "out")
    assert (scores["scored"], scores["failed"], len(rows)) == (4, 0, 4)
    expected = published_wer([row["reference"] for row in rows], [row["transcribe"]["text"] for row in rows])
    assert scores["measured"]["value"] == pytest.approx(expected)
    assert scores["measured"]["low"] <= scores["measured"]["value"] <= scores["measured"]["high"]
    assert scores["benchmark"] == {
        "name": "librispeech-test-clean",
        "dataset": "Librispeech",
        "split": "test-clean",
        "task": "transcribe",
        "metric": "WER",
        "normalizer": "whisper-english",
        "language": "en",
    }
    assert {"system": "Qwen2-Audio", "value": 1.6, "qwen2_audio_weights": "original"} in scores["published"]
    assert {"system": "Qwen2-Audio", "value": 1.7, "qwen2_audio_weights": "huggingface"} in scores["published"]
    assert len(scores["published"]) == 14


def test_a_stopped_benchmark_is_not_scored_and_resumes(tmp_path, monkeypatch):
    data = miniature.make_librispeech(tmp_path / "data", "test-clean", *phone_prompts(4))
    real = OutputStore.create

    def stopping(self, path, content):
        if path.startswith("annotations/"):
            signal.raise_signal(signal.SIGINT)
        return real(self, path, content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(OutputStore, "create", stopping)
        run("librispeech-test-clean", data, tmp_path / "out", shard_rows=1)
    assert len(annotations(tmp_path / "out")) == 1
    assert not (tmp_path / "out" / "benchmark.json").exists()
    assert run("librispeech-test-clean", data, tmp_path / "out", shard_rows=1).scored == 4


def test_meld_is_decoded_from_its_videos_and_a_missing_one_counts_as_wrong(tmp_path):
    data = miniature.make_meld(tmp_path / "data", [(0, 0, "joy", "Yes!"), (0, 1, "anger", "No."), (1, 0, "fear", "Oh")])
    (data / "MELD.Raw/output_repeated_splits_test/dia1_utt0.mp4").unlink()
    scores = run("meld-test", data, tmp_path / "out", max_failure_ratio=1.0)
    rows = annotations(tmp_path / "out")
    assert [row["audio"]["codec"] for row in rows] == ["aac", "aac"]
    right = sum(row["emotion"]["label"] == row["reference"] for row in rows)
    assert (scores.scored, scores.failed, scores.measured.value) == (3, 1, pytest.approx(right / 3))
    assert scores.measured.without_failures == pytest.approx(right / 2)
    assert isinstance(scores.details, TaskScores) and scores.details.kind == "label"
    assert {figure.system for figure in scores.published} == {"WavLM-large", "Qwen-Audio", "Qwen2-Audio"}


def test_vocalsound_is_scored_by_the_most_likely_label_or_as_published_by_the_written_one(tmp_path):
    names = ["f0003_0_cough", "f0003_0_throatclearing", "m0100_1_laughter"]
    data = miniature.make_vocalsound(tmp_path / "data", names)
    chosen = run("vocalsound-test", data, tmp_path / "likeliest")
    rows = annotations(tmp_path / "likeliest")
    assert chosen.measured.value == pytest.approx(
        sum(row["vocal_sound"]["label"] == row["reference"] for row in rows) / 3
    )
    free = run("vocalsound-test", data, tmp_path / "written", free_labels=True)
    texts = [row["vocal_sound"]["text"].lstrip() for row in annotations(tmp_path / "written")]
    references = [row["reference"] for row in annotations(tmp_path / "written")]
    assert references == ["Cough", "Throat clearing", "Laughter"]
    right = sum(text == reference for text, reference in zip(texts, references, strict=True))
    assert free.measured.value == pytest.approx(right / 3)


def test_covost2_is_scored_in_the_target_language(tmp_path):
    rows = [("a", "Good morning", "早上好", "test"), ("b", "No", "不要", "test")]
    data = miniature.make_covost2(tmp_path / "data", "en", "zh-CN", rows)
    scores = run("covost2-en-zh", data, tmp_path / "out")
    job = json.loads((tmp_path / "out/_earmark/job.json").read_text())
    assert [(task["name"], task["target_language"]) for task in job["tasks"]] == [("translate", "zh")]
    translated = annotations(tmp_path / "out")
    texts = [row["translate"]["text"] for row in translated]
    references = [row["reference"] for row in translated]
    bleu = sacrebleu.corpus_bleu(texts, [references], tokenize="zh", force=True)
    assert scores.measured.value == pytest.approx(bleu.score)
    assert isinstance(scores.details, TaskScores) and scores.details.signatures is not None
    assert "tok:zh" in scores.details.signatures["bleu"]


def by_order(prompt):
    """Score the reference 9 or 8 and the answer 3 or 6, depending on their order; return no scores for question 2."""
    if "What is 2?" in prompt:
        return "Both are fine."
    return "9 3" if "1s Answer]\nIt is" in prompt else "6 8"


def test_air_bench_is_judged_in_both_orders_and_each_request_is_sent_once(tmp_path):
    rows = [
        miniature.air_bench_row(number, task)
        for number, task in enumerate(["sound_QA", "music_QA", "sound_QA", "sound_generation_QA"])
    ]
    data = miniature.make_air_bench(tmp_path / "data", rows)
    (data / "Chat/sound_generation_QA_fisher/3.wav").unlink()
    with judging(by_order) as server:
        options: dict[str, Any] = {"max_failure_ratio": 1.0, "endpoint_timeout_s": 30.0}  # the timeout is the judge's
        scores = run("air-bench-sound", data, tmp_path / "out", server.name, **options)
        assert len(server.prompts) == 4
        repeated = run("air-bench-sound", data, tmp_path / "out", server.name, max_failure_ratio=1.0)
        assert len(server.prompts) == 4, "no request was repeated"
    assert repeated == scores
    (first, _) = annotations(tmp_path / "out")
    answer = first["analyze"]["text"]
    assert first["analyze"]["prompt"] == "What is 0?"
    about = "[Detailed Audio Description]\nSound 0\n[Question]\nWhat is 0?\n[The Start of Assistant 1s Answer]\n"
    assert sum(f"{about}It is 0.\n" in prompt for prompt in server.prompts) == 1
    assert sum(f"{about}{answer}\n" in prompt for prompt in server.prompts) == 1
    details = scores.details
    assert isinstance(details, JudgeScores)
    assert (details.judged, details.unjudged, details.malformed, scores.failed, scores.scored) == (1, 1, 2, 1, 3)
    assert (details.reference, details.judge) == (8.5, server.name)
    assert scores.measured.value == pytest.approx(((3 + 6) / 2 + 1) / 2), "a failure counts as the lowest score"
    verdicts = [json.loads(line) for file in (tmp_path / "out/judge").glob("*.jsonl") for line in file.open()]
    assert sorted((verdict["id"], verdict["swapped"], verdict["said"]) for verdict in verdicts) == [
        ("sound_QA_fisher-0", False, "9 3"),
        ("sound_QA_fisher-0", True, "6 8"),
        ("sound_QA_fisher-2", False, "Both are fine."),
        ("sound_QA_fisher-2", True, "Both are fine."),
    ]


def test_the_table_has_the_measured_and_the_published_scores(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    data = miniature.make_vocalsound(tmp_path / "data", ["f0003_0_cough", "f0003_0_sigh"])
    command = ["benchmark", "vocalsound-test", data, tmp_path / "out", "--model", TINY, *QUICK]
    assert main([str(argument) for argument in command]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    start = lines.index(next(line for line in lines if line.startswith("system ")))
    assert lines[start].split() == ["system", "ACC"]
    assert lines[start + 1].startswith(str(TINY)) and "measured, 95 % interval" in lines[start + 1]
    assert [line.split(maxsplit=2) for line in lines[start + 2 : start + 7]] == [
        ["Qwen2-Audio", "0.9395", "with the weights on the hub"],
        ["Qwen2-Audio", "0.9392", "published with the original weights"],
        ["Qwen-Audio", "0.9289", "published"],
        ["Pengi", "0.6035", "published"],
        ["CLAP", "0.4945", "published"],
    ]
    rule = "; scored by the most likely label; with --free_labels, as published, by the label that the model writes"
    assert lines[start + 7] == f"vocalsound-test: 2 recordings{rule}"


@pytest.mark.parametrize("command", [["benchmark"], ["benchmark", "--list"]])
def test_the_list_has_each_benchmark_and_the_data_it_needs(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 26
    (meld,) = [line for line in lines if line.startswith("meld-test")]
    assert meld.split()[:4] == ["meld-test", "emotion", "ACC", "MELD.Raw/test_sent_emo.csv"]


def refusal(name, data, output, judge="", flags=(), **options):
    job = JobOptions(**{"model": (str(TINY),), **options})
    with pytest.raises(JobError) as refused:
        run_benchmark(name, str(data), str(output), job, [*QUICK, *flags], ScoreOptions(judge))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_an_impossible_benchmark_is_refused_before_the_job(tmp_path):
    data, out = miniature.make_vocalsound(tmp_path / "data", ["f0003_0_cough"]), tmp_path / "out"
    name = "vocalsound-test"
    assert "there is no benchmark 'vocalsound' (did you mean vocalsound-test?)" in refusal("vocalsound", data, out)
    assert "there is no folder" in refusal(name, tmp_path / "nowhere", out)
    assert "no model is named for vocal_sound" in refusal(name, data, out, model=())
    assert refusal(name, data, out, language="en").startswith("--language does not work: vocalsound-test sets it")
    assert refusal(name, data, out, task=("caption",)).startswith("--task does not work: vocalsound-test sets it")
    assert "leave out --template_location" in refusal(name, data, out, flags=("--template_location=gs://b/t",))
    judge = "http://127.0.0.1:9/v1/chat/completions#judge"
    assert "vocalsound-test is scored by ACC; leave it out" in refusal(name, data, out, judge)
    assert "air-bench-sound is scored by a judge: give --judge URL#MODEL" in refusal("air-bench-sound", data, out)
    transcriber = "http://127.0.0.1:9/v1/audio/transcriptions#judge"
    assert "a judge reads and writes" in refusal("air-bench-sound", data, out, transcriber)
    assert "cannot be reached" in refusal("air-bench-sound", data, out, judge)
    assert not out.exists(), "nothing was written"


def test_an_output_belongs_to_one_data_set(tmp_path):
    data = miniature.make_vocalsound(tmp_path / "data", ["f0003_0_cough"])
    other_data = miniature.make_vocalsound(tmp_path / "other", ["f0003_0_sniff"])
    run("vocalsound-test", data, tmp_path / "out")
    message = refusal("vocalsound-test", other_data, tmp_path / "out")
    assert "manifest.jsonl lists other data than vocalsound-test has now; choose another output folder" in message
    moved = data.rename(tmp_path / "moved")
    assert run("vocalsound-test", moved, tmp_path / "out").scored == 1, "the same data, moved"
    (tmp_path / "out" / "benchmark.json").unlink()
    (tmp_path / "out" / "benchmark.json").mkdir()
    assert "out cannot be used: " in refusal("vocalsound-test", moved, tmp_path / "out")
