"""What a person sees of one recording. Imports neither Beam nor torch.

All texts are shown by `line`: no markup in them counts, and what a terminal would obey is spelled out.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

from rich.bar import Bar
from rich.console import ConsoleRenderable
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from earmark.pipeline.console.console import console
from earmark.reporting.clip_audio import AudioSource
from earmark.reporting.inspect.row import (
    Alignment,
    InspectedAnswer,
    InspectedFailure,
    InspectedRow,
    Inspection,
)
from earmark.reporting.inspect.row_provenance import RowProvenance
from earmark.reporting.text.plain_text import visible
from earmark.schemas.answers.label import LabelScore
from earmark.schemas.answers.spoken import TextSegment
from earmark.schemas.records import AudioFacts
from earmark.schemas.text import counted
from earmark.scoring.alignment import aligned

BAR_COLUMNS = 24
MAX_LABELS = 12  # scores that are shown; --json has all
STYLES = {"heading": "bold", "name": "cyan", "flag": "bold yellow", "failed": "bold red"}


def print_inspection(found: Inspection) -> None:
    if found.annotation is not None:
        _print_row(found.annotation)
    if found.failure is not None:
        _print_failure(found.failure)


def _print_row(row: InspectedRow) -> None:
    _heading(row.id)
    _show(_pairs([*_source(row.source), *_facts(row.audio)]))
    for answer in row.answers:
        _print_answer(answer)
    shown = any(answer.reference_column == "reference" for answer in row.answers)
    if row.reference is not None and not shown:
        _heading("reference")
        _show(line(row.reference))
    if row.extra:
        _heading("carried along")
        _show(_pairs(list(row.extra.items())))
    _heading("made by")
    _show(_pairs([*_made_by(row.provenance), *_asked(row.answers)]))


def _print_failure(found: InspectedFailure) -> None:
    failure = found.failure
    _heading(failure.id)
    _show(line(f"failed in {failure.stage}: {failure.error}", "failed"))
    _show(line(failure.message))
    _show(line("The next `earmark annotate` tries it again, unless it is told to --keep_failures."))
    _show(_pairs(_source(AudioSource.of(failure.uri, 0.0, None))))
    _heading("made by")
    _show(_pairs(_made_by(found.provenance)))


def _heading(text: str) -> None:
    console.print(line(text, "heading"), soft_wrap=True)


def _show(what: ConsoleRenderable) -> None:
    console.print(Padding(what, (0, 0, 0, 2), expand=False))


def line(text: str, style: str = "") -> Text:
    """A text as it is; `style` is one of STYLES."""
    return Text(visible(text), STYLES.get(style, ""), overflow="fold")


def _pairs(pairs: Iterable[tuple[str, str]]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=False)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(line(name, "name"), line(value))
    return table


def _source(source: AudioSource) -> list[tuple[str, str]]:
    pairs = [("audio", source.uri)]
    if source.member:
        pairs.append(("archive", f"{source.container}, in it {source.member}"))
    elif source.container:
        pairs.append(("container", f"{source.container}, its row {source.row}, counted from 0"))
    if source.offset_s:
        pairs.append(("from", f"{_time(source.offset_s)} ({source.offset_s:g} s)"))
    if source.channel is not None:
        pairs.append(("channel", f"{source.channel}, counted from 0"))
    return pairs


def _facts(audio: AudioFacts) -> list[tuple[str, str]]:
    speech = "" if audio.speech_ratio is None else f", speech in {100 * audio.speech_ratio:.0f} %"
    snr = "" if audio.snr_db is None else f", speech {audio.snr_db:.1f} dB above the rest"
    clipped = f", {100 * audio.clipped_ratio:.2g} % clipped" if audio.clipped_ratio else ""
    return [
        ("length", f"{audio.duration_s:.2f} s{speech}"),
        ("source", f"{audio.codec}, {audio.sample_rate} Hz, {audio.channels} channel{'s' * (audio.channels > 1)}"),
        ("level", f"{audio.rms_dbfs:.1f} dBFS, peak {audio.peak_dbfs:.1f} dBFS{clipped}{snr}"),
        ("bandwidth", "not measured" if audio.bandwidth_hz is None else f"{audio.bandwidth_hz:.0f} Hz"),
    ]


def _print_answer(one: InspectedAnswer) -> None:
    heading = line(one.asked.task, "heading")
    if one.confidence is not None:
        heading.append(f"  confidence {100 * one.confidence:.0f} %", "not bold")
    language = getattr(one.answer, "language", None)
    if language:
        heading.append_text(Text(visible(f"  {language}"), "not bold"))
    for flag in getattr(one.answer, "flags", ()):
        heading.append_text(Text(visible(f"  {flag}"), STYLES["flag"]))
    console.print(heading, soft_wrap=True)
    if one.asked.prompt:
        _show(line(f"asked: {one.asked.prompt}"))
    text = one.answer.as_text()
    _show(line(text or "(nothing)"))
    if scores := getattr(one.answer, "scores", ()):
        _show(_scores(scores))
    if segments := getattr(one.answer, "segments", ()):
        _show(_segments(segments, text))
    if one.reference is not None:
        _show(line(f"reference ({one.reference_column}): {one.reference}"))
    if one.alignment is not None:
        _print_alignment(one.alignment)


def _scores(scores: Sequence[LabelScore]) -> Table:
    """The likeliest labels, each with a bar from 0 to 1."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    likeliest = sorted(scores, key=lambda score: -score.score)
    for score in likeliest[:MAX_LABELS]:
        bar = Bar(1.0, 0.0, score.score, width=BAR_COLUMNS)
        table.add_row(line(score.label), bar, Text(f"{score.score:.3f}"))
    if len(likeliest) > MAX_LABELS:
        table.add_row(Text(f"and {len(likeliest) - MAX_LABELS} more"), "", "")
    return table


def _segments(segments: Sequence[TextSegment], whole: str) -> Table:
    """Segments with their times; the text of one that is the whole is not said again."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for segment in segments:
        sure = "" if segment.avg_logprob is None else f"{100 * math.exp(segment.avg_logprob):.0f} %"
        table.add_row(
            Text(f"{_time(segment.start_s)} - {_time(segment.end_s)}"),
            Text(sure),
            line(segment.text if segment.text != whole else ""),
        )
    return table


def _print_alignment(found: Alignment) -> None:
    edits = found.edits
    counts = f"{edits.substitutions} substituted, {edits.deletions} deleted, {edits.insertions} inserted"
    words = (
        f"of {counted(edits.reference_length, 'word')}" if edits.reference_length else "and the reference has no words"
    )
    rate = f"WER {100 * found.wer:.1f} %" if edits.reference_length else f"{counted(edits.errors, 'error')}"
    _show(line(f"{rate}: {counts}, {words} (normalised by {found.normalizer})"))
    width = max(20, console.width - len("    ref  "))
    for reference, hypothesis in aligned(found.reference, found.transcript, width):
        for name, text in (("ref", reference), ("hyp", hypothesis)):
            console.print(line(f"    {name}  {text}"), soft_wrap=True)


def _made_by(provenance: RowProvenance) -> Iterator[tuple[str, str]]:
    details = [f"earmark {provenance.earmark}"] if provenance.earmark else []
    details += [f"on {provenance.host}"] if provenance.host else []
    yield "run", f"{provenance.run_id} ({', '.join(details)})" if details else provenance.run_id
    if provenance.manifests:
        yield "manifest", ", ".join(provenance.manifests)
    if provenance.models:
        yield "models", ", ".join(provenance.models)
    if provenance.part:
        yield "part", provenance.part
    if provenance.compaction:
        yield "merged by", f"{provenance.compaction} from the part {provenance.part_key}"
    job = "as _earmark/job.json" if provenance.is_of_this_job else "another than that of _earmark/job.json"
    yield "job", f"{provenance.fingerprint[:16]}, {job}"


def _asked(answers: Sequence[InspectedAnswer]) -> Iterator[tuple[str, str]]:
    for answer in answers:
        asked = answer.asked
        yield asked.task, asked.model
        if not asked.prompt and (asked.base_prompt or asked.chat_prompt):
            base = f'base checkpoints "{asked.base_prompt}", ' if asked.base_prompt else ""
            yield "", f'in words, where it is asked in words: {base}Instruct checkpoints "{asked.chat_prompt}"'


def _time(seconds: float) -> str:
    """As 1:02:03.45, without hours where there are none."""
    hundredths = round(100 * seconds)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02d}:{rest / 100:05.2f}"
    return f"{hours}:{clock}" if hours else clock
