"""Padding in the batches of Qwen2-Audio's encoder during `earmark annotate`: padded over real seconds of audio.

    python -m benches.bench_padding [RECORDINGS]

Noise with the durations of Common Voice's recordings, shards of the default size, random weights, answers of one token.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile

from benches.bench_qwen2_audio import make_clips
from earmark.schemas.records import SAMPLE_RATE_HZ
from tests.support.checkpoints.small_qwen2_audio import write_checkpoint
from tests.support.jobs import command_line

LINE = re.compile(r"^(\d+) segments, ([\d.]+) s of audio, ([\d.]+) s with padding$", re.MULTILINE)
JOB = "task: [short]\nnew_tasks: {short: {prompt: 'What is it?', max_new_tokens: 1}}\n"


def main(recordings: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_checkpoint(folder / "checkpoint")
        (folder / "audio").mkdir()
        (folder / "job.yaml").write_text(JOB)
        for clip in make_clips(recordings):
            soundfile.write(folder / "audio" / f"{clip.recording.id}.wav", clip.samples, SAMPLE_RATE_HZ)
        options = ("--model", folder / "checkpoint", "--config", folder / "job.yaml", "--verbose")
        command = command_line("annotate", folder / "audio", folder / "out", *options)
        process = subprocess.run(command, stderr=subprocess.PIPE, stdout=sys.stderr, text=True, check=False)
        if process.returncode:
            sys.exit(process.stderr)
    batches = LINE.findall(process.stderr)
    segments, audio_s, padded_s = (sum(map(float, column)) for column in zip(*batches, strict=True))
    assert segments == recordings
    figures = {"padded_over_real": padded_s / audio_s, "recordings": recordings, "batches": len(batches)}
    print(json.dumps({**figures, "audio_s": audio_s}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
