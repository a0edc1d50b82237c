"""Word errors of `earmark annotate` and of faster-whisper's own code, each with its defaults, on one manifest.

python -m benches.bench_wer MANIFEST [MODEL]     (defaults: the demo's manifest and whisper-tiny.en)
"""

import json
import sys
import tempfile
from pathlib import Path

import jiwer
from faster_whisper import WhisperModel
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from earmark.model.checkpoints.checkpoint import find_checkpoint
from tests.support.jobs import PHONE_PROMPTS, annotations, manifest_lines, run_command

COMPUTE_TYPES = ("float32", "int8")


def errors(references: list[str], hypotheses: list[str]) -> dict[str, float]:
    normalize = EnglishTextNormalizer({})
    found = jiwer.process_words([normalize(text) for text in references], [normalize(text) for text in hypotheses])
    count = found.substitutions + found.deletions + found.insertions
    return {"word_errors": count, "words": count and round(count / found.wer), "wer_percent": round(100 * found.wer, 2)}


def by_earmark(manifest: Path, model: str, *options: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as output:
        run_command("annotate", manifest, output, "--model", model, *options, timeout_s=3600).check_returncode()
        rows = annotations(output)
    return errors([row["reference"] for row in rows], [row["transcribe"]["text"] for row in rows])


def by_faster_whisper(manifest: Path, model: str, compute_type: str) -> dict[str, float]:
    whisper = WhisperModel(find_checkpoint(model).folder, device="cpu", compute_type=compute_type)
    rows = manifest_lines(manifest)
    hypotheses = []
    for row in rows:
        segments, _ = whisper.transcribe(str(manifest.parent / row["audio_filepath"]), language="en")
        hypotheses.append(" ".join(segment.text for segment in segments))
    return errors([row["text"] for row in rows], hypotheses)


def main(manifest: Path, model: str) -> None:
    figures = {"earmark, default": by_earmark(manifest, model)}
    for compute_type in COMPUTE_TYPES:
        if compute_type != "float32":  # the default on a CPU
            figures[f"earmark, {compute_type}"] = by_earmark(manifest, model, "--compute_type", compute_type)
        figures[f"faster-whisper, {compute_type}"] = by_faster_whisper(manifest, model, compute_type)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(Path(arguments[0]) if arguments else PHONE_PROMPTS, arguments[1] if len(arguments) > 1 else "whisper-tiny.en")
