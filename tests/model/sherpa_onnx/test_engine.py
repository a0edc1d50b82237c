"""Speech models in ONNX against sherpa-onnx's own recognizer, one recording at a time."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sherpa_onnx
import soundfile
import soxr

from earmark.model.checkpoints.checkpoint import find_checkpoint
from earmark.model.sherpa_onnx.engine import SherpaOnnx, time_words
from earmark.model.source import open_source
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.errors import RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Segment
from tests.support.audio.clips import clip_of
from tests.support.checkpoints.small_onnx_models import LETTERS, WRITERS, write_models
from tests.support.jobs import PHONE_PROMPTS, annotations, manifest_lines, run_command, write_manifest

pytestmark = pytest.mark.model

NEMO = {"model_type": "nemo_transducer"}
THREE = {"encoder": "encoder", "decoder": "decoder", "joiner": "joiner"}
EPOCH = {role: f"{role}-epoch-9-avg-1" for role in THREE}
Own = sherpa_onnx.OfflineRecognizer
OWN: dict[str, tuple[Callable[..., Any], dict[str, str], dict[str, str]]] = {
    "paraformer": (Own.from_paraformer, {"paraformer": "model"}, {}),
    "sense_voice": (Own.from_sense_voice, {"model": "model"}, {}),
    "zipformer_ctc": (Own.from_zipformer_ctc, {"model": "model"}, {}),
    "nemo_ctc": (Own.from_nemo_ctc, {"model": "model"}, {}),
    "zipformer_transducer": (Own.from_transducer, EPOCH, {}),
    "nemo_transducer": (Own.from_transducer, THREE, NEMO),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def prompts():
    """Eight prompts of different lengths."""
    rows = manifest_lines(PHONE_PROMPTS)
    rows = sorted(rows, key=lambda row: row["duration"])[2::3]
    audio = [soundfile.read(PHONE_PROMPTS.parent / row["audio_filepath"], dtype="float32") for row in rows]
    return [soxr.resample(samples, rate, SAMPLE_RATE_HZ) for samples, rate in audio]


def opened(folder, **options):
    engine = open_source(find_checkpoint(str(folder)), JobOptions(device="cpu", **options))
    assert isinstance(engine, SherpaOnnx)
    return engine


def transcripts(engine, clips):
    answers = []
    for result in engine.annotate(clips, JobOptions().tasks()):
        assert not isinstance(result, RowError)
        answer = result["transcribe"]
        assert isinstance(answer, Transcript)
        answers.append(answer)
    return answers


def own_streams(kind, folder, audio):
    """sherpa-onnx's recognizer of a folder, as its documentation opens it, and a stream for each recording."""
    factory, files, settings = OWN[kind]
    paths = {argument: str(folder / f"{stem}.onnx") for argument, stem in files.items()}
    recognizer = factory(**paths, tokens=str(folder / "tokens.txt"), num_threads=1, **settings)
    streams = []
    for samples in audio:
        stream = recognizer.create_stream()
        stream.accept_waveform(SAMPLE_RATE_HZ, samples)
        streams.append(stream)
    return recognizer, streams


def alone(kind, folder, audio):
    recognizer, streams = own_streams(kind, folder, audio)
    for stream in streams:
        recognizer.decode_stream(stream)
    return [stream.result for stream in streams]


@pytest.mark.parametrize("kind", WRITERS)
def test_an_answer_is_sherpa_onnxs_for_the_recording_alone(folders, prompts, kind):
    expected = alone(kind, folders[kind], prompts)
    assert len({result.text for result in expected}) > 4
    engine = opened(folders[kind], model_threads=3)
    for order in (range(8), range(7, -1, -1), range(0, 8, 3)):
        for index, transcript in zip(order, transcripts(engine, [clip_of(prompts[i]) for i in order]), strict=True):
            assert transcript.text == expected[index].text.strip()
            logprobs = expected[index].ys_log_probs
            mean = sum(logprobs) / len(logprobs) if logprobs else None
            assert transcript.avg_logprob == (mean if mean is None else pytest.approx(mean, abs=1e-4))
            assert ("transducer" in kind) == (mean is not None)


def test_in_a_batch_sherpa_onnx_itself_gives_other_answers(folders, prompts):
    """The reason for decoding without batches: if this fails, batches are possible."""
    for kind in ("paraformer", "zipformer_ctc"):
        recognizer, streams = own_streams(kind, folders[kind], prompts)
        recognizer.decode_streams(streams)
        together = [stream.result.text for stream in streams]
        assert together != [result.text for result in alone(kind, folders[kind], prompts)]


@pytest.mark.parametrize("kind", ["nemo_ctc", "zipformer_transducer", "nemo_transducer"])
def test_with_timestamps_words_are_timed_in_the_file(folders, prompts, kind):
    (own,) = alone(kind, folders[kind], prompts[-1:])
    (timed,) = transcripts(opened(folders[kind], timestamps=True), [clip_of(prompts[-1], offset_s=60.0)])
    assert timed.text == own.text.strip()
    assert [segment.text for segment in timed.segments] == own.text.split()
    begins = [start for token, start in zip(own.tokens, own.timestamps, strict=True) if token.startswith(" ")]
    starts = [segment.start_s for segment in timed.segments]
    assert starts[-len(begins) :] == pytest.approx([60 + begin for begin in begins], abs=1e-4)
    ends = [segment.end_s for segment in timed.segments]
    assert ends == pytest.approx([*starts[1:], 60 + len(prompts[-1]) / SAMPLE_RATE_HZ])


def test_a_language_without_spaces_is_timed_by_tokens(folders, prompts):
    """Text with words of another language and their spaces is not changed."""
    expected = alone("paraformer", folders["paraformer"], prompts)
    assert sum(" " in own.text.strip() for own in expected) > 2
    engine = opened(folders["paraformer"], timestamps=True)
    by_token = transcripts(engine, [clip_of(samples, language="zh-CN") for samples in prompts])
    by_word = transcripts(engine, [clip_of(samples) for samples in prompts])
    for own, tokens, words in zip(expected, by_token, by_word, strict=True):
        assert len(own.timestamps) == len(own.tokens)
        assert (tokens.text, tokens.language) == (own.text.strip(), "zh")
        assert len(tokens.segments) > 1 and any(segment.text in LETTERS for segment in tokens.segments)
        assert (words.text, words.language) == (own.text.strip(), None)
        assert [segment.text for segment in words.segments] == own.text.split()


@pytest.mark.parametrize(
    ("text", "tokens", "spaced", "words"),
    [
        ("hello world", [" he", "llo", " wor", "ld"], True, [(0, "hello"), (2, "world")]),
        ("hello world", ["▁he", "llo"], True, []),  # spelled otherwise
        ("hello world", [" he", "llo"], True, []),  # more text than tokens
        ("hello there", [" ", "hello", " ", "there"], True, [(0, "hello"), (3, "there")]),
        ("hello 你好 bye", ["hel@@", "lo", "你", "好", "bye"], True, [(0, "hello"), (2, "你好"), (4, "bye")]),
        ("hello 你好 bye", ["hel@@", "lo", "你", "好", "bye"], False, [(0, "hel"), (1, "lo 你"), (3, "好 bye")]),
        ("", [], True, []),
    ],
)
def test_words_are_timed_by_their_tokens(text, tokens, spaced, words):
    assert time_words(text, tokens, list(range(len(tokens))), spaced) == words
    assert not words or (" " if spaced else "").join(word for _, word in words) == text
    assert time_words(text, tokens, [], spaced) == []


def test_the_language_is_the_models_else_the_rows_or_the_jobs(folders, prompts):
    clips = [clip_of(prompts[0], language="en"), clip_of(prompts[0])]
    detected = transcripts(opened(folders["sense_voice"]), clips)
    assert [transcript.language for transcript in detected] == ["zh", "zh"]
    named = transcripts(opened(folders["nemo_ctc"], language="de"), clips)
    assert [transcript.language for transcript in named] == ["en", "de"]


def test_a_sliver_is_decoded_and_silence_is_not(folders):
    engine = opened(folders["paraformer"])
    (sliver,) = transcripts(engine, [clip_of(np.full(7, 0.1, np.float32))])
    assert sliver.segments[0].end_s == pytest.approx(7 / SAMPLE_RATE_HZ)
    silent = clip_of(np.zeros(SAMPLE_RATE_HZ, np.float32))
    silent = dataclasses.replace(silent, segments=(Segment(0, SAMPLE_RATE_HZ, 0),))
    (nothing,) = transcripts(engine, [silent])
    assert (nothing.text, nothing.flags) == ("", ("no_speech",))


def test_running_out_of_memory_fails_the_recording_alone(folders, prompts, monkeypatch):
    engine = opened(folders["nemo_ctc"])

    class Full:
        """A recognizer that has no room for more than two seconds."""

        def __getattr__(self, name):
            return getattr(recognizer, name)

        def create_stream(self):
            return recognizer.create_stream()

        def decode_stream(self, stream):
            recognizer.decode_stream(stream)
            if len(stream.result.tokens) > longest:
                raise RuntimeError("Non-zero status code: Failed to allocate memory for requested buffer of size 9")

    recognizer = engine._recognizer
    longest = sorted(len(result.tokens) for result in alone("nemo_ctc", folders["nemo_ctc"], prompts))[-2]
    monkeypatch.setattr(engine, "_recognizer", Full())
    results = engine.annotate([clip_of(samples) for samples in prompts], JobOptions().tasks())
    assert [result.error for result in results if isinstance(result, RowError)] == ["out_of_memory"]


@pytest.mark.process
def test_the_command_transcribes_with_a_folder_of_onnx(folders, tmp_path):
    rows = manifest_lines(PHONE_PROMPTS)[:3]
    rows = [row | {"audio_filepath": str(PHONE_PROMPTS.parent / row["audio_filepath"])} for row in rows]
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    run = run_command("annotate", manifest, tmp_path / "out", "--model", folders["paraformer"], "--timestamps")
    assert run.returncode == 0, run.stderr
    done = annotations(tmp_path / "out")
    assert len(done) == 3 and all(row["transcribe"]["text"] and row["transcribe"]["segments"] for row in done)


def test_numbers_are_chosen_by_compute_type(folders, prompts):
    """A decoder without int8 weights is taken as it is, an encoder is not."""
    folder = folders["zipformer_transducer"]
    clips = [clip_of(samples) for samples in prompts]
    texts = {
        numbers: [transcript.text for transcript in transcripts(opened(folder, compute_type=numbers), clips)]
        for numbers in ("default", "float32", "int8")
    }
    assert texts["default"] == texts["float32"] != texts["int8"]


def test_its_files_determine_its_identity(folders, tmp_path):
    folder = Path(shutil.copytree(folders["zipformer_transducer"], tmp_path / "model"))
    identities = {find_checkpoint(str(folder)).identity}
    for name in ("encoder-epoch-9-avg-1.onnx", "joiner-epoch-9-avg-1.onnx", "tokens.txt"):
        (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
        identities.add(find_checkpoint(str(folder)).identity)
    (folder / "test.wav").write_bytes(b"")
    identities.add(find_checkpoint(str(folder)).identity)
    assert len(identities) == 4
