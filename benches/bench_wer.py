"""Word error rates of `earmark annotate` and of faster-whisper, each with its defaults, on one manifest.

python -m benches.bench_wer MANIFEST [MODEL]     (defaults: the demo's manifest and whisper-tiny.en)
"""

import json
import sys
from pathlib import Path

from tests.support.jobs import PHONE_PROMPTS
from tests.support.word_error_rates import wer_of_earmark, wer_of_faster_whisper

COMPUTE_TYPES = ("float32", "int8")


def main(manifest: Path, model: str) -> None:
    figures = {"earmark, default": wer_of_earmark(manifest, model)}
    for compute_type in COMPUTE_TYPES:
        if compute_type != "float32":  # the default on a CPU
            figures[f"earmark, {compute_type}"] = wer_of_earmark(manifest, model, "--compute_type", compute_type)
        figures[f"faster-whisper, {compute_type}"] = wer_of_faster_whisper(manifest, model, compute_type)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(Path(arguments[0]) if arguments else PHONE_PROMPTS, arguments[1] if len(arguments) > 1 else "whisper-tiny.en")
