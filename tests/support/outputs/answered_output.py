"""An output with answers of every kind about files that are there, some of whose ids and texts are meant to break what
is made of them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from earmark.schemas.answers.label import LabelAnswer, LabelScore
from earmark.schemas.answers.spoken import TextSegment
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.answers.vector import VectorAnswer
from earmark.schemas.job import JobOptions
from earmark.schemas.job_description import JobDescription
from earmark.schemas.records import Annotation, AudioFacts, Failure, PartReport, Recording, stable_hash
from earmark.schemas.tables import annotations_table, failures_table
from earmark.schemas.tasks import BUILT_IN, MELD_EMOTIONS, Task
from earmark.transforms.output.store import FAILURES_PATH, JOB_PATH, OutputStore, encode_part, encode_table
from tests.support.outputs.run_info import write_run_info

NAMES = ("transcribe", "caption", "emotion", "embed")
TASKS = tuple(task for task in BUILT_IN if task.name in NAMES)
HOSTILE = (
    "../../x",
    "/etc/passwd",
    "a|b\nc",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "-1+1",
    "<script>alert(1)</script>",
    "00:00:00.000 --> 00:00:01.000\n\nNOTE x",
    "license: mit\n---\n# x",
    "`![x](y) **b** | c",
    "con",
    "A",
    "a",
    "é\u200dक",
    "x" * 300,
    "{\\an8}<i>",
    "'; DROP TABLE annotations --",
    "..",
    "tab\tand\x00null",
)


@dataclass(frozen=True)
class Said:
    """A row: what is said about which part of which file. `failed`: it has a failure and no answers."""

    id: str
    text: str
    uri: str
    facts: AudioFacts
    offset_s: float = 0.0
    channel: int | None = None
    flags: tuple[str, ...] = ()
    extra: tuple[tuple[str, str], ...] = (("speaker", "s1"),)
    failed: bool = False


def facts_of(path: Path, duration_s: float | None = None) -> AudioFacts:
    about = soundfile.info(path)
    heard_s = about.frames / about.samplerate if duration_s is None else duration_s
    codec = about.subtype.lower() if about.format == "WAV" else about.format.lower()
    return AudioFacts(heard_s, about.samplerate, about.channels, codec, -20.0, -3.0, 0.0, 0.8, 8000.0)


def write_sound(path: Path, seconds: float = 0.25, channels: int = 1, rate: int = 16_000) -> Path:
    """Noise of 16 bits, of which every file has its own."""
    chance = np.random.default_rng(int(stable_hash(path.name)[:8], 16))
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (round(seconds * rate), channels)
    soundfile.write(path, chance.integers(-32768, 32767, shape, dtype=np.int16), rate, "PCM_16")
    return path


def hostile_rows(folder: Path) -> list[Said]:
    """A row for each of HOSTILE, which is its id and its text, and one that failed."""
    rows = []
    for number, text in enumerate(HOSTILE):
        path = write_sound(folder / f"{number}.{('wav', 'flac')[number % 2]}")
        rows.append(Said(text, text, str(path), facts_of(path), extra=(("=note", text),)))
    failed = Said("<b>|gone", "", "no|where.wav", rows[0].facts, failed=True)
    return [*rows, failed]


def write_answered(folder: Path | str, rows: Sequence[Said], rows_a_part: int = 5, **options: object) -> OutputStore:
    """The output of a run that answered NAMES, its last part with failures and nothing else."""
    tasks = tuple(dataclasses.replace(task, dimensions=3) if task.answer == "vector" else task for task in TASKS)
    job = JobOptions(task=NAMES, **options)  # type: ignore[arg-type]
    store = OutputStore(str(folder))
    description = JobDescription.of(job, dict.fromkeys(tasks, "sha256:" + "0" * 64), "none")
    store.create(JOB_PATH, description.to_json().encode())
    write_run_info(store, model=["secret/folder/my-model", "transcribe=whisper"])
    answered, failed = [row for row in rows if not row.failed], [row for row in rows if row.failed]
    for start in range(0, len(answered), rows_a_part):
        _write_part(store, answered[start : start + rows_a_part], (), tasks, description.fingerprint)
    failures = tuple(
        Failure(row.id, row.uri, "DecodeAudio", "not_found", f"there is no {row.uri}", "run") for row in failed
    )
    if failures:
        _write_part(store, (), failures, tasks, description.fingerprint)
    store.replace(FAILURES_PATH, encode_table(failures_table(failures)))
    return store


def _write_part(
    store: OutputStore, rows: Sequence[Said], failures: tuple[Failure, ...], tasks: Sequence[Task], fingerprint: str
) -> None:
    key = stable_hash(*(row.id for row in rows), *(failure.id for failure in failures))
    table = annotations_table([_annotation(row) for row in rows], tasks)
    report = PartReport(key, len(rows), failures)
    store.create(store.part_path(key), encode_part(table, report, "run", fingerprint))


def _annotation(row: Said) -> Annotation:
    recording = Recording(row.id, row.uri, row.offset_s, channel=row.channel, reference=row.text, extra=row.extra)
    half_s = row.facts.duration_s / 2
    times = ((row.offset_s, row.offset_s + half_s), (row.offset_s + half_s, row.offset_s + 2 * half_s))
    segments = tuple(
        TextSegment(start, end, text, -0.5) for (start, end), text in zip(times, (row.text, "and"), strict=True)
    )
    score = 0.9 if row.flags else 0.5
    rest = (1 - score) / (len(MELD_EMOTIONS) - 1)
    scores = tuple(LabelScore(name, score if name == "joy" else rest) for name in MELD_EMOTIONS)
    answers = {
        "transcribe": Transcript(f"{row.text} and", "en", -0.5, segments, row.flags),
        "caption": TextAnswer(row.text, "What is heard?", -0.5),
        "emotion": LabelAnswer("joy", score, scores, -0.5),
        "embed": VectorAnswer((0.5, -1.0, 0.25)),
    }
    return Annotation(recording, row.facts, answers)
