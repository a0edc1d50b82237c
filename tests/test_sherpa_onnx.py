"""Speech models in ONNX against sherpa-onnx's own recognizer, one recording at a time, and what is refused."""

import dataclasses
import importlib.machinery
import importlib.util
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import sherpa_onnx
import soundfile
import soxr
import torch

from model.checkpoint import Checkpoint, find_checkpoint
from model.engine import check_options, check_source, open_source
from model.sherpa_onnx_engine import SherpaOnnx, _choose_device, time_words
from schemas.errors import JobError, RowError
from schemas.job import JobOptions
from schemas.records import SAMPLE_RATE_HZ, AudioFacts, Clip, Recording, Segment, Transcript
from tests.jobs import PHONE_PROMPTS, annotations, run_command, write_manifest
from tests.small_onnx_models import LETTERS, WRITERS

FACTS = AudioFacts(0.0, SAMPLE_RATE_HZ, 1, "flac", 0.0, 0.0, 0.0)
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
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for kind, write in WRITERS.items():
        made[kind] = tmp_path_factory.mktemp(kind)
        write(made[kind])
    return made


@pytest.fixture(scope="module")
def spoken() -> list[np.ndarray]:
    """Eight prompts of different lengths."""
    rows = [json.loads(line) for line in PHONE_PROMPTS.read_text().splitlines()]
    rows = sorted(rows, key=lambda row: row["duration"])[2::3]
    found = [soundfile.read(PHONE_PROMPTS.parent / row["audio_filepath"], dtype="float32") for row in rows]
    return [soxr.resample(samples, rate, SAMPLE_RATE_HZ) for samples, rate in found]


def clip_of(samples: np.ndarray, offset_s: float = 0.0, language: str | None = None) -> Clip:
    recording = Recording(id="x", uri="x", offset_s=offset_s, language=language)
    return Clip(recording, samples, FACTS, (Segment(0, len(samples), len(samples)),))


def opened(folder: Path, **options: Any) -> SherpaOnnx:
    engine = open_source(find_checkpoint(str(folder)), JobOptions(device="cpu", **options))
    assert isinstance(engine, SherpaOnnx)
    return engine


def check(folder: Path, **options: Any) -> None:
    job = JobOptions(**options)
    check_source(find_checkpoint(str(folder)), job, job.tasks(), here=True)


def transcripts(engine: SherpaOnnx, clips: Sequence[Clip]) -> list[Transcript]:
    found = []
    for result in engine.annotate(clips, JobOptions().tasks()):
        assert not isinstance(result, RowError)
        answer = result["transcribe"]
        assert isinstance(answer, Transcript)
        found.append(answer)
    return found


def own_streams(kind: str, folder: Path, audio: Sequence[np.ndarray]) -> tuple[Any, list[Any]]:
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


def alone(kind: str, folder: Path, audio: Sequence[np.ndarray]) -> list[Any]:
    recognizer, streams = own_streams(kind, folder, audio)
    for stream in streams:
        recognizer.decode_stream(stream)
    return [stream.result for stream in streams]


@pytest.mark.parametrize("kind", WRITERS)
def test_an_answer_is_what_sherpa_onnx_gives_for_the_recording_alone(
    folders: dict[str, Path], spoken: list[np.ndarray], kind: str
) -> None:
    expected = alone(kind, folders[kind], spoken)
    assert len({result.text for result in expected}) > 4
    engine = opened(folders[kind], model_threads=3)
    for order in (range(8), range(7, -1, -1), range(0, 8, 3)):
        for index, transcript in zip(order, transcripts(engine, [clip_of(spoken[i]) for i in order]), strict=True):
            assert transcript.text == expected[index].text.strip()
            logprobs = expected[index].ys_log_probs
            mean = sum(logprobs) / len(logprobs) if logprobs else None
            assert transcript.avg_logprob == (mean if mean is None else pytest.approx(mean, abs=1e-4))
            assert ("transducer" in kind) == (mean is not None)


def test_in_a_batch_sherpa_onnx_itself_gives_other_answers(folders: dict[str, Path], spoken: list[np.ndarray]) -> None:
    """Why nothing is batched here: if this ever fails, it may be."""
    for kind in ("paraformer", "zipformer_ctc"):
        recognizer, streams = own_streams(kind, folders[kind], spoken)
        recognizer.decode_streams(streams)
        together = [stream.result.text for stream in streams]
        assert together != [result.text for result in alone(kind, folders[kind], spoken)]


@pytest.mark.parametrize("kind", ["nemo_ctc", "zipformer_transducer", "nemo_transducer"])
def test_with_timestamps_words_are_timed_in_the_file(
    folders: dict[str, Path], spoken: list[np.ndarray], kind: str
) -> None:
    (own,) = alone(kind, folders[kind], spoken[-1:])
    (timed,) = transcripts(opened(folders[kind], timestamps=True), [clip_of(spoken[-1], offset_s=60.0)])
    assert timed.text == own.text.strip()
    assert [segment.text for segment in timed.segments] == own.text.split()
    begins = [start for token, start in zip(own.tokens, own.timestamps, strict=True) if token.startswith(" ")]
    starts = [segment.start_s for segment in timed.segments]
    assert starts[-len(begins) :] == pytest.approx([60 + begin for begin in begins], abs=1e-4)
    ends = [segment.end_s for segment in timed.segments]
    assert ends == pytest.approx([*starts[1:], 60 + len(spoken[-1]) / SAMPLE_RATE_HZ])


def test_a_language_without_spaces_is_timed_by_tokens(folders: dict[str, Path], spoken: list[np.ndarray]) -> None:
    """Where words of another stand in it with spaces, the text stays what it is."""
    expected = alone("paraformer", folders["paraformer"], spoken)
    assert sum(" " in own.text.strip() for own in expected) > 2
    engine = opened(folders["paraformer"], timestamps=True)
    by_token = transcripts(engine, [clip_of(samples, language="zh-CN") for samples in spoken])
    by_word = transcripts(engine, [clip_of(samples) for samples in spoken])
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
def test_words_are_found_in_the_text_by_their_tokens(
    text: str, tokens: list[str], spaced: bool, words: list[tuple[float, str]]
) -> None:
    assert time_words(text, tokens, list(range(len(tokens))), spaced) == words
    assert not words or (" " if spaced else "").join(word for _, word in words) == text
    assert time_words(text, tokens, [], spaced) == []


def test_the_language_is_what_the_model_hears_else_what_the_row_or_the_job_names(
    folders: dict[str, Path], spoken: list[np.ndarray]
) -> None:
    clips = [clip_of(spoken[0], language="en"), clip_of(spoken[0])]
    heard = transcripts(opened(folders["sense_voice"]), clips)
    assert [transcript.language for transcript in heard] == ["zh", "zh"]
    named = transcripts(opened(folders["nemo_ctc"], language="de"), clips)
    assert [transcript.language for transcript in named] == ["en", "de"]


def test_a_sliver_is_heard_and_silence_is_not_shown_to_the_model(folders: dict[str, Path]) -> None:
    engine = opened(folders["paraformer"])
    (sliver,) = transcripts(engine, [clip_of(np.full(7, 0.1, np.float32))])
    assert sliver.segments[0].end_s == pytest.approx(7 / SAMPLE_RATE_HZ)
    silent = clip_of(np.zeros(SAMPLE_RATE_HZ, np.float32))
    silent = dataclasses.replace(silent, segments=(Segment(0, SAMPLE_RATE_HZ, 0),))
    (nothing,) = transcripts(engine, [silent])
    assert (nothing.text, nothing.flags) == ("", ("no_speech",))


def test_running_out_of_memory_costs_the_recording(
    folders: dict[str, Path], spoken: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(folders["nemo_ctc"])

    class Full:
        """A recognizer that has no room for more than two seconds."""

        def __getattr__(self, name: str) -> Any:
            return getattr(recognizer, name)

        def create_stream(self) -> Any:
            return recognizer.create_stream()

        def decode_stream(self, stream: Any) -> None:
            recognizer.decode_stream(stream)
            if len(stream.result.tokens) > longest:
                raise RuntimeError("Non-zero status code: Failed to allocate memory for requested buffer of size 9")

    recognizer = engine._recognizer
    longest = sorted(len(result.tokens) for result in alone("nemo_ctc", folders["nemo_ctc"], spoken))[-2]
    monkeypatch.setattr(engine, "_recognizer", Full())
    found = engine.annotate([clip_of(samples) for samples in spoken], JobOptions().tasks())
    assert [result.error for result in found if isinstance(result, RowError)] == ["out_of_memory"]


def test_the_command_transcribes_with_a_folder_of_onnx(folders: dict[str, Path], tmp_path: Path) -> None:
    rows = [json.loads(line) for line in PHONE_PROMPTS.read_text().splitlines()[:3]]
    rows = [row | {"audio_filepath": str(PHONE_PROMPTS.parent / row["audio_filepath"])} for row in rows]
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    run = run_command("annotate", manifest, tmp_path / "out", "--model", folders["paraformer"], "--timestamps")
    assert run.returncode == 0, run.stderr
    done = annotations(tmp_path / "out")
    assert len(done) == 3 and all(row["transcribe"]["text"] and row["transcribe"]["segments"] for row in done)


def test_numbers_are_chosen_by_compute_type(folders: dict[str, Path], spoken: list[np.ndarray]) -> None:
    """A decoder without int8 weights is taken as it is, an encoder is not."""
    folder = folders["zipformer_transducer"]
    clips = [clip_of(samples) for samples in spoken]
    texts = {
        numbers: [found.text for found in transcripts(opened(folder, compute_type=numbers), clips)]
        for numbers in ("default", "float32", "int8")
    }
    assert texts["default"] == texts["float32"] != texts["int8"]
    with pytest.raises(
        JobError, match=r"there is no encoder\*\.onnx in float16 .*; there are decoder-epoch-9-avg-1\.onnx"
    ):
        check(folder, compute_type="float16")
    with pytest.raises(
        JobError, match="--compute_type=bfloat16 is none that sherpa-onnx has here: float16, float32, int8"
    ):
        check(folder, compute_type="bfloat16")


@pytest.fixture
def broken(folders: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a model, with other metadata (None for none) or another tokens.txt."""

    def make(kind: str, tokens: str | None = None, **metadata: str | None) -> Path:
        folder = Path(shutil.copytree(folders[kind], tmp_path / "model"))
        if tokens is not None:
            (folder / "tokens.txt").write_text(tokens)
        model = onnx.load(folder / "model.onnx")
        kept = {pair.key: pair.value for pair in model.metadata_props} | metadata
        del model.metadata_props[:]
        for key, value in kept.items():
            if value is not None:
                model.metadata_props.add(key=key, value=value)
        onnx.save(model, folder / "model.onnx")
        return folder

    return make


def test_a_folder_that_is_no_model_of_a_known_kind_is_refused(broken: Any, tmp_path: Path) -> None:
    folder = broken("paraformer", model_type="vits")
    with pytest.raises(JobError, match=r"model\.onnx is a model of type 'vits'; earmark runs Paraformer, SenseVoice"):
        check(folder)
    (folder / "tokens.txt").unlink()
    with pytest.raises(JobError, match=r"tokens\.txt is missing beside the ONNX files in"):
        check(folder)
    (folder / "tokens.txt").touch()
    (folder / "model.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(JobError, match=r"model\.onnx cannot be read \(.*\); fetch it again, whole") as refused:
        check(folder)
    assert "\n" not in str(refused.value)
    (folder / "model.onnx").rename(folder / "model-steps.onnx")
    with pytest.raises(JobError, match=r"there is no model\*\.onnx in .*; there are model-steps\.onnx"):
        check(folder)


def test_a_model_without_metadata_is_refused(broken: Any) -> None:
    with pytest.raises(JobError, match=r"model\.onnx does not say in its metadata what model it is; earmark runs"):
        check(broken("paraformer", model_type=None))


def test_two_models_in_a_folder_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["zipformer_transducer"], tmp_path / "model"))
    shutil.copy(folder / "decoder-epoch-9-avg-1.onnx", folder / "decoder-epoch-8-avg-1.onnx")
    with pytest.raises(JobError, match=r"several of one kind \(decoder-epoch-8-avg-1\.onnx, decoder-epoch-9"):
        check(folder)


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (
            "paraformer",
            {"vocab_size": None},
            r"cannot run it \(.*'vocab_size' does not exist in the metadata\); take the",
        ),
        ("paraformer", {"lfr_window_size": "4"}, r"cannot run it \(.*; take the model as published"),
        ("zipformer_ctc", {"tokens": "a 0\nb 1\n"}, r"cannot run it \(.*tokens\.txt contains .*<blk>"),
        ("zipformer_ctc", {"tokens": "a b c d\n"}, r"cannot run it \(.*a b c d"),
    ],
)
def test_what_would_end_the_process_is_refused_before_the_run(
    broken: Any, kind: str, changes: dict[str, str | None], words: str
) -> None:
    with pytest.raises(JobError, match=words) as refused:
        check(broken(kind, **changes))
    assert "\n" not in str(refused.value)


def test_the_tokens_of_another_model_are_refused(broken: Any) -> None:
    with pytest.raises(JobError, match=r"tokens\.txt has 3 tokens, the model 15; put there the one that belongs to it"):
        check(broken("paraformer", tokens="<blank> 0\n<s> 1\n</s> 2\n"))


def test_a_token_that_is_missing_stops_the_job(broken: Any, spoken: list[np.ndarray]) -> None:
    """Where the model does not say how many it has, that is seen when it writes one of those."""
    engine = opened(broken("zipformer_ctc", tokens="<blk> 0\n"))
    with pytest.raises(JobError, match=r"wrote a token that its tokens\.txt lacks; put there the one that belongs"):
        engine.annotate([clip_of(spoken[0])], JobOptions().tasks())


@pytest.mark.parametrize(("devices", "chosen"), [(0, "cpu"), (1, "cuda")])
def test_a_wheel_for_cuda_is_told_from_one_for_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: int, chosen: str
) -> None:
    """By the library that it brings; the wheel itself is in no package index."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libonnxruntime_providers_cuda.so").touch()
    spec = importlib.machinery.ModuleSpec("sherpa_onnx", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    assert _choose_device(JobOptions()) == chosen
    assert _choose_device(JobOptions(device="cpu")) == "cpu"


def test_what_it_does_not_do_is_refused(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, job = find_checkpoint(str(folders["paraformer"])), JobOptions(task=("transcribe", "caption"))
    with pytest.raises(JobError, match="is Paraformer in ONNX, which transcribes; for caption name another model"):
        check_source(checkpoint, job, job.tasks(), here=True)
    with pytest.raises(JobError, match=r"--beam_size=3 does not work"):
        check_options([checkpoint], JobOptions(beam_size=3))
    check_options([checkpoint], JobOptions(timestamps=True))
    job = JobOptions(device="cuda")
    with pytest.raises(
        JobError, match="--device=cuda, and this sherpa-onnx is built for the CPU alone; use --device=cpu"
    ):
        check_source(checkpoint, job, job.tasks(), here=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(JobError, match=r"runs on sherpa-onnx: pip install 'earmark\[sherpa\]'"):
        check_source(checkpoint, JobOptions(), JobOptions().tasks(), here=True)


def test_its_files_are_what_names_it(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["zipformer_transducer"], tmp_path / "model"))
    seen: set[Checkpoint | str] = {find_checkpoint(str(folder)).identity}
    for name in ("encoder-epoch-9-avg-1.onnx", "joiner-epoch-9-avg-1.onnx", "tokens.txt"):
        (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
        seen.add(find_checkpoint(str(folder)).identity)
    (folder / "test.wav").write_bytes(b"")
    seen.add(find_checkpoint(str(folder)).identity)
    assert len(seen) == 4
