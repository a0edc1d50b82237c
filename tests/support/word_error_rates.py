"""Word error rates of `earmark annotate` and of faster-whisper's own code, each with its defaults."""

import tempfile
from pathlib import Path

import jiwer
from faster_whisper import WhisperModel
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from earmark.model.checkpoints.checkpoint import find_checkpoint
from tests.support.jobs import annotations, manifest_lines, run_command


def word_errors(references: list[str], hypotheses: list[str]) -> dict[str, float]:
    normalize = EnglishTextNormalizer({})
    measures = jiwer.process_words([normalize(text) for text in references], [normalize(text) for text in hypotheses])
    count = measures.substitutions + measures.deletions + measures.insertions
    return {
        "word_errors": count,
        "words": count and round(count / measures.wer),
        "wer_percent": round(100 * measures.wer, 2),
    }


def wer_of_earmark(manifest: Path, model: str, *options: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as output:
        run_command("annotate", manifest, output, "--model", model, *options, timeout_s=3600).check_returncode()
        rows = annotations(output)
    return word_errors([row["reference"] for row in rows], [row["transcribe"]["text"] for row in rows])


def wer_of_faster_whisper(manifest: Path, model: str, compute_type: str) -> dict[str, float]:
    whisper = WhisperModel(find_checkpoint(model).folder, device="cpu", compute_type=compute_type)
    rows = manifest_lines(manifest)
    hypotheses = []
    for row in rows:
        segments, _ = whisper.transcribe(str(manifest.parent / row["audio_filepath"]), language="en")
        hypotheses.append(" ".join(segment.text for segment in segments))
    return word_errors([row["text"] for row in rows], hypotheses)
