"""Rows with answers of every kind about real files, some with ids and texts that could break an export or a card."""

from collections.abc import Sequence
from pathlib import Path

from earmark.schemas.answers.spoken import TextSegment
from earmark.schemas.answers.text import TextAnswer
from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.answers.vector import VectorAnswer
from earmark.schemas.tasks import MELD_EMOTIONS
from earmark.transforms.output.store import OutputStore
from tests.support.audio.noise import facts_of, write_noise
from tests.support.outputs.builder import Row, label_answer, write_output
from tests.support.outputs.run_info import write_run_info

TASKS = ("transcribe", "caption", "emotion", "embed")
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


def answered_row(
    id: str,
    text: str,
    path: Path,
    duration_s: float | None = None,
    offset_s: float = 0.0,
    channel: int | None = None,
    flags: tuple[str, ...] = (),
    extra: dict[str, str] | None = None,
) -> Row:
    """A row whose transcript is `text` in two segments, about a file or `duration_s` of it."""
    facts = facts_of(path, duration_s)
    half_s = facts.duration_s / 2
    segments = (
        TextSegment(offset_s, offset_s + half_s, text, -0.5),
        TextSegment(offset_s + half_s, offset_s + 2 * half_s, "and", -0.5),
    )
    answers = {
        "transcribe": Transcript(f"{text} and", "en", -0.5, segments, flags),
        "caption": TextAnswer(text, "What is heard?", -0.5),
        "emotion": label_answer("joy", 0.9 if flags else 0.5, MELD_EMOTIONS),
        "embed": VectorAnswer((0.5, -1.0, 0.25)),
    }
    extra = {"speaker": "s1"} if extra is None else extra
    return Row(id, answers, text, extra=extra, uri=str(path), offset_s=offset_s, channel=channel, facts=facts)


def hostile_rows(folder: Path) -> list[Row]:
    """A row for each of HOSTILE, with the text as its id and its answer, and one that failed."""
    rows = []
    for number, text in enumerate(HOSTILE):
        path = write_noise(folder / f"{number}.{('wav', 'flac')[number % 2]}")
        rows.append(answered_row(text, text, path, extra={"=note": text}))
    return [*rows, Row("<b>|gone", None, uri="no|where.wav")]


def write_answered(folder: Path | str, rows: Sequence[Row], rows_a_part: int = 5, **options: object) -> OutputStore:
    """Write the output of a run of TASKS with local models."""
    store = write_output(folder, rows, rows_a_part, "sha256:" + "0" * 64, task=TASKS, **options)
    write_run_info(store, model=["secret/folder/my-model", "transcribe=whisper"])
    return store
