"""Printed output of `earmark inspect`: one recording. Imports neither Beam nor torch.

All texts are printed by `line`, which ignores markup and spells out control characters.
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
MAX_LABELS = 12  # scores printed; --json has all
STYLES = {"heading": "bold", "name": "cyan", "flag": "bold yellow", "failed": "bold red"}


def print_inspection(inspection: Inspection) -> None:
    if inspection.annotation is not None:
        _print_row(inspection.annotation)
    if inspection.failure is not None:
        _print_failure(inspection.failure)


def _print_row(row: InspectedRow) -> None:
    _heading(row.id)
    _show(_pairs([*_source(row.source), *_facts(row.audio)]))
    for answer in row.answers:
        _print_answer(answer)
    is_printed = any(answer.reference_column == "reference" for answer in row.answers)
    if row.reference is not None and not is_printed:
        _heading("reference")
        _show(line(row.reference))
    if row.extra:
        _heading("other columns")
        _show(_pairs(list(row.extra.items())))
    _heading("made by")
    _show(_pairs([*_made_by(row.provenance), *_prompts(row.answers)]))


def _print_failure(inspected: InspectedFailure) -> None:
    failure = inspected.failure
    _heading(failure.id)
    _show(line(f"failed in {failure.stage}: {failure.error}", "failed"))
    _show(line(failure.message))
    _show(line("The next `earmark annotate` tries it again, unless it is run with --keep_failures."))
    _show(_pairs(_source(AudioSource.of(failure.uri, 0.0, None))))
    _heading("made by")
    _show(_pairs(_made_by(inspected.provenance)))


def _heading(text: str) -> None:
    console.print(line(text, "heading"), soft_wrap=True)


def _show(content: ConsoleRenderable) -> None:
    console.print(Padding(content, (0, 0, 0, 2), expand=False))


def line(text: str, style: str = "") -> Text:
    """Return a text that rich prints literally; `style` is one of STYLES."""
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
        pairs.append(("archive", f"{source.member} in {source.container}"))
    elif source.container:
        pairs.append(("container", f"row {source.row} of {source.container}, counted from 0"))
    if source.offset_s:
        pairs.append(("from", f"{_time(source.offset_s)} ({source.offset_s:g} s)"))
    if source.channel is not None:
        pairs.append(("channel", f"{source.channel}, counted from 0"))
    return pairs


def _facts(audio: AudioFacts) -> list[tuple[str, str]]:
    speech = "" if audio.speech_ratio is None else f", speech in {100 * audio.speech_ratio:.0f} %"
    snr = "" if audio.snr_db is None else f", SNR {audio.snr_db:.1f} dB"
    clipped = f", {100 * audio.clipped_ratio:.2g} % clipped" if audio.clipped_ratio else ""
    return [
        ("length", f"{audio.duration_s:.2f} s{speech}"),
        ("source", f"{audio.codec}, {audio.sample_rate} Hz, {audio.channels} channel{'s' * (audio.channels > 1)}"),
        ("level", f"{audio.rms_dbfs:.1f} dBFS, peak {audio.peak_dbfs:.1f} dBFS{clipped}{snr}"),
        ("bandwidth", "not measured" if audio.bandwidth_hz is None else f"{audio.bandwidth_hz:.0f} Hz"),
    ]


def _print_answer(inspected: InspectedAnswer) -> None:
    heading = line(inspected.asked.task, "heading")
    if inspected.confidence is not None:
        heading.append(f"  confidence {100 * inspected.confidence:.0f} %", "not bold")
    language = getattr(inspected.answer, "language", None)
    if language:
        heading.append_text(Text(visible(f"  {language}"), "not bold"))
    for flag in getattr(inspected.answer, "flags", ()):
        heading.append_text(Text(visible(f"  {flag}"), STYLES["flag"]))
    console.print(heading, soft_wrap=True)
    if inspected.asked.prompt:
        _show(line(f"prompt: {inspected.asked.prompt}"))
    text = inspected.answer.as_text()
    _show(line(text or "(empty)"))
    if scores := getattr(inspected.answer, "scores", ()):
        _show(_scores(scores))
    if segments := getattr(inspected.answer, "segments", ()):
        _show(_segments(segments, text))
    if inspected.reference is not None:
        _show(line(f"reference ({inspected.reference_column}): {inspected.reference}"))
    if inspected.alignment is not None:
        _print_alignment(inspected.alignment)


def _scores(scores: Sequence[LabelScore]) -> Table:
    """Return the most likely labels, each with a bar from 0 to 1."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    by_score = sorted(scores, key=lambda score: -score.score)
    for score in by_score[:MAX_LABELS]:
        bar = Bar(1.0, 0.0, score.score, width=BAR_COLUMNS)
        table.add_row(line(score.label), bar, Text(f"{score.score:.3f}"))
    if len(by_score) > MAX_LABELS:
        table.add_row(Text(f"and {len(by_score) - MAX_LABELS} more"), "", "")
    return table


def _segments(segments: Sequence[TextSegment], full_text: str) -> Table:
    """Return segments with their times; the text of a segment that is the full text is not repeated."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for segment in segments:
        confidence = "" if segment.avg_logprob is None else f"{100 * math.exp(segment.avg_logprob):.0f} %"
        table.add_row(
            Text(f"{_time(segment.start_s)} - {_time(segment.end_s)}"),
            Text(confidence),
            line(segment.text if segment.text != full_text else ""),
        )
    return table


def _print_alignment(alignment: Alignment) -> None:
    edits = alignment.edits
    counts = f"{edits.substitutions} substituted, {edits.deletions} deleted, {edits.insertions} inserted"
    length = f"of {counted(edits.reference_length, 'word')}" if edits.reference_length else "and the reference is empty"
    rate = f"WER {100 * alignment.wer:.1f} %" if edits.reference_length else f"{counted(edits.errors, 'error')}"
    _show(line(f"{rate}: {counts}, {length} (normalised by {alignment.normalizer})"))
    width = max(20, console.width - len("    ref  "))
    for reference, hypothesis in aligned(alignment.reference, alignment.transcript, width):
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
        yield "merged by", f"{provenance.compaction} from part {provenance.part_key}"
    job = "as in _earmark/job.json" if provenance.is_of_this_job else "not the job of _earmark/job.json"
    yield "job", f"{provenance.fingerprint[:16]}, {job}"


def _prompts(answers: Sequence[InspectedAnswer]) -> Iterator[tuple[str, str]]:
    for answer in answers:
        task = answer.asked
        yield task.task, task.model
        if not task.prompt and (task.base_prompt or task.chat_prompt):
            base = f'base checkpoints "{task.base_prompt}", ' if task.base_prompt else ""
            yield "", f'prompt, for models that take one: {base}Instruct checkpoints "{task.chat_prompt}"'


def _time(seconds: float) -> str:
    """Format a time as 1:02:03.45, or 02:03.45 below one hour."""
    hundredths = round(100 * seconds)
    minutes, hundredths = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02d}:{hundredths / 100:05.2f}"
    return f"{hours}:{clock}" if hours else clock
