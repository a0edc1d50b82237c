"""Paraformer and other speech models in ONNX, through sherpa-onnx.

Every piece is decoded alone: in a batch sherpa-onnx pads the shorter ones, and a Paraformer continues their text up to
the end of the longest. Pieces run side by side instead, each on one thread, which takes no more time on a CPU.
"""

import importlib.util
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from earmark.model.checkpoints.checkpoint import Checkpoint
from earmark.model.runtime.devices import check_compute_type, choose_device
from earmark.model.segments.language_codes import primary_code
from earmark.model.segments.segment_engine import SegmentEngine
from earmark.model.segments.segment_task import Parts, SegmentTask
from earmark.model.segments.task_support import check_tasks_fit
from earmark.model.segments.text_flags import spoken_flags
from earmark.model.sherpa_onnx.files import SUFFIXES, find_sherpa_model
from earmark.schemas.answers.spoken import SpokenPart, TextSegment
from earmark.schemas.answers.transcript import UNSPACED_LANGUAGES
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.schemas.tasks import Task

log = logging.getLogger("earmark")
PACKAGE = "sherpa_onnx"


class SherpaOnnx(SegmentEngine):
    """A transcriber; safe to call from several threads, which share the CPU's threads.

    Raises:
        JobError: --device=cuda and there is no CUDA device, or the model cannot be opened.
    """

    def __init__(self, checkpoint: Checkpoint, options: JobOptions):
        from earmark.model.sherpa_onnx.recognizer import open_recognizer

        device = _choose_device(options)
        model = find_sherpa_model(checkpoint.name, Path(checkpoint.folder), options.compute_type)
        try:
            self._recognizer = open_recognizer(model, device)
        except (RuntimeError, ValueError) as error:
            raise JobError(f"the model in {checkpoint.folder} cannot be loaded on {device}: {error}") from error
        threads = (options.model_threads or os.cpu_count() or 1) if device == "cpu" else 1
        log.info("%s in ONNX on %s, %d pieces at a time", model.kind.about, device, threads)
        self._side_by_side = ThreadPoolExecutor(threads, "sherpa-onnx")
        self._options = options

    def plan_batches(self, segment_tasks: Sequence[SegmentTask]) -> list[list[int]]:
        """All at once, the longest first, so that no thread ends with a long one while the others are idle."""
        longest_first = sorted(range(len(segment_tasks)), key=lambda index: -segment_tasks[index].length)
        return [longest_first] if segment_tasks else []

    def infer(self, pieces: Sequence[SegmentTask]) -> Sequence[Parts]:
        return list(self._side_by_side.map(self._transcribe, pieces))

    def _transcribe(self, piece: SegmentTask) -> Parts:
        from earmark.model.sherpa_onnx.recognizer import decode_alone

        result = decode_alone(self._recognizer, piece.samples)
        part = self._part(piece, result)
        return {task.name: part for task in piece.tasks}

    def _part(self, piece: SegmentTask, result: Any) -> SpokenPart:
        text = result.text.strip()
        requested = primary_code(piece.clip.recording.language or self._options.language)
        language = result.lang.strip("<|>") or requested or None
        logprobs = result.ys_log_probs  # of tokens, without blanks; empty but for transducers
        avg_logprob = sum(logprobs) / len(logprobs) if logprobs else None
        spans = [(0.0, text)]
        if self._options.timestamps:
            spaced = language not in UNSPACED_LANGUAGES
            spans = time_words(text, result.tokens, result.timestamps, spaced) or spans
        ends_s = [start_s for start_s, _ in spans[1:]] + [piece.duration_s]
        segments = tuple(
            TextSegment(piece.time_s(start_s * SAMPLE_RATE_HZ), piece.time_s(end_s * SAMPLE_RATE_HZ), span, avg_logprob)
            for (start_s, span), end_s in zip(spans, ends_s, strict=True)
            if span
        )
        flags = spoken_flags(text, piece.duration_s) | (set() if text else {"empty"})
        return SpokenPart(segments, sum(logprobs), len(logprobs), flags, language)


def check_job(checkpoint: Checkpoint, options: JobOptions, tasks: Sequence[Task], here: bool) -> tuple[Task, ...]:
    """As EngineModule.check_job."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise JobError(f"model {checkpoint.name} runs on sherpa-onnx: pip install 'earmark[sherpa]'")
    from earmark.model.sherpa_onnx.trial import check_sherpa_runs

    check_compute_type(options.compute_type, set(SUFFIXES), "sherpa-onnx")
    folder = Path(checkpoint.folder)
    about = f"{find_sherpa_model(checkpoint.name, folder, options.compute_type).kind.about} in ONNX, which transcribes"
    check_tasks_fit(checkpoint.name, about, tasks, lambda task: task.name == "transcribe")
    if here:
        _choose_device(options)
    check_sherpa_runs(checkpoint.name, folder, options.compute_type)
    return tuple(tasks)


def open_engine(checkpoint: Checkpoint, options: JobOptions) -> SherpaOnnx:
    """As EngineModule.open_engine."""
    return SherpaOnnx(checkpoint, options)


def _choose_device(options: JobOptions) -> str:
    """As choose_device; sherpa-onnx as published on the package index would use the CPU without a message."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if any(path for folder in folders for path in Path(folder).glob("lib/*onnxruntime_providers_cuda*")):
        import torch

        return choose_device(options.device, torch.cuda.device_count())
    if options.device == "cuda":
        raise JobError(
            "--device=cuda does not work: this sherpa-onnx is built for the CPU alone; use --device=cpu, or install its"
            " wheel for CUDA (https://k2-fsa.github.io/sherpa/onnx/python/install.html)"
        )
    return "cpu"


def time_words(text: str, tokens: Sequence[str], starts_s: Sequence[float], spaced: bool) -> list[tuple[float, str]]:
    """The words of the text, or its tokens in a language without spaces, each with its start in seconds.

    Joined they are the text again. Empty where the model gives no times, or tokens that are spelled differently.

    Args:
        starts_s: Start of each token, in seconds.
        spaced: Whether the words are joined by spaces.
    """
    if not tokens or len(tokens) != len(starts_s):
        return []
    words: list[tuple[float, str]] = []
    done = 0
    for token, start_s in zip(tokens, starts_s, strict=True):
        letters = token.strip().removesuffix("@@")  # Paraformer's mark of a token that the next one continues
        begin = text.find(letters, done)
        if begin < 0 or text[done:begin].strip():
            return []
        gap, done = text[done:begin], begin + len(letters)
        if not words or bool(gap) == spaced:
            words.append((start_s, letters))
        else:
            words[-1] = (words[-1][0], words[-1][1] + gap + letters)
    return [] if text[done:].strip() else [(start_s, word) for start_s, word in words if word]
