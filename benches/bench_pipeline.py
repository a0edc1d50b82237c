"""`earmark annotate` compared with the bare engine, on the same clips of real speech with the same threads and batches.

    python -m benches.bench_pipeline [ROUNDS [MINUTES]]

The times for imports and for loading the model are reported separately; fetching, decoding, speech detection and
writing are part of the command's time. The two sides take turns, each in its own process, and the fastest round counts.
"""

import functools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.model.segments.speech_detector import SpeechDetector
    from earmark.schemas.records import Clip, Recording

MODEL = "whisper-tiny.en"
PHONE_PROMPTS = Path(__file__).parent.parent / "examples" / "phone-prompts" / "manifest.jsonl"


def make_manifest(path: Path, seconds: float) -> Path:
    """Write a manifest that repeats the phone prompts for at least `seconds`."""
    prompts = [json.loads(line) for line in PHONE_PROMPTS.read_text().splitlines()]
    times = int(seconds / sum(row["duration"] for row in prompts)) + 1
    rows = [
        {"id": f"{row['id']}-{copy}", "audio_filepath": str(PHONE_PROMPTS.parent / row["audio_filepath"])}
        for copy in range(times)
        for row in prompts
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def time_command(manifest: str, output: str) -> dict[str, float]:
    started = time.perf_counter()
    import earmark.model.source
    import earmark.pipeline.annotate as command

    import_s = time.perf_counter() - started
    loads: list[float] = []
    original = earmark.model.source.open_source

    @functools.wraps(original)
    def timed(*arguments):  # type: ignore[no-untyped-def]
        began = time.perf_counter()
        engine = original(*arguments)
        loads.append(time.perf_counter() - began)
        return engine

    earmark.model.source.open_source = command.open_source = timed  # both names, so that it is pickled by name
    began = time.perf_counter()
    assert command.annotate(manifest, output, command.JobOptions(model=(MODEL,)), []) == 0
    elapsed = time.perf_counter() - began
    (load_s,) = loads
    return {"s": elapsed - load_s, "load_s": load_s, "import_s": import_s}


def decode_clips(recordings: "list[Recording]", detector: "SpeechDetector", scratch: str) -> "list[Clip]":
    """Decode and segment recordings in this process."""
    from earmark.schemas.records import Clip
    from earmark.transforms.audio.decode_recordings import DecodeRequest, decode_requests
    from earmark.transforms.segment_speech import segment_clip

    decoded = decode_requests([DecodeRequest(recording, 1e4, 1e3, 2**30, scratch) for recording in recordings])
    return [
        Clip(recording, audio.samples, audio.facts, segment_clip(audio.samples, detector)[0])
        for recording, audio in zip(recordings, decoded, strict=True)
    ]


def time_engine(manifest: str, output: str) -> dict[str, float]:
    from earmark.model.segments.speech_detector import SpeechDetector
    from earmark.model.source import find_source, open_source
    from earmark.schemas.job import JobOptions
    from earmark.schemas.manifest import ManifestShape
    from earmark.transforms.read_manifest import read_manifests

    engine, detector = open_source(find_source(MODEL), JobOptions()), SpeechDetector()
    clips = decode_clips(list(read_manifests([manifest], ManifestShape())), detector, output)
    tasks = JobOptions().tasks()
    engine.annotate(clips[:8], tasks)
    began = time.perf_counter()
    engine.annotate(clips, tasks)
    return {"s": time.perf_counter() - began, "audio_s": sum(len(clip.samples) for clip in clips) / 16_000}


def in_process(side: str, manifest: Path, output: Path) -> dict[str, float]:
    output.mkdir()
    finished = subprocess.run(
        [sys.executable, "-m", "benches.bench_pipeline", side, manifest, output], stdout=subprocess.PIPE, check=True
    )
    return dict(json.loads(finished.stdout.splitlines()[-1]))


def main(rounds: int, minutes: float) -> None:
    commands, engines = [], []
    with tempfile.TemporaryDirectory() as name:
        manifest = make_manifest(Path(name) / "m.jsonl", 60 * minutes)
        for number in range(rounds):
            engines.append(in_process("engine", manifest, Path(name) / f"e{number}"))
            commands.append(in_process("command", manifest, Path(name) / f"c{number}"))
    best, bare = min(commands, key=lambda run: run["s"]), min(engines, key=lambda run: run["s"])
    figures = {"ratio": best["s"] / bare["s"], "command": best, "engine": bare, "rounds": rounds}
    print(json.dumps(figures, default=float))


if __name__ == "__main__":
    if sys.argv[1:2] in (["command"], ["engine"]):
        side = time_command if sys.argv[1] == "command" else time_engine
        print(json.dumps(side(*sys.argv[2:4])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 2, float(sys.argv[2]) if len(sys.argv) > 2 else 31)
