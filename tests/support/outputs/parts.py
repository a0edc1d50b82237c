"""Parts of an output as bytes, without a run; and an output of several parts to compact."""

from collections.abc import Mapping, Sequence

from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Annotation, AudioFacts, Failure, PartReport, Recording
from earmark.schemas.tables import annotations_table
from earmark.transforms.output.store import JOB_PATH, OutputStore, encode_part

KEYS = [f"{number:02x}aa" for number in range(0, 240, 20)]  # keys of twelve parts, each in a folder of its own
FACTS = AudioFacts(1.5, 8000, 2, "flac", -20.0, -3.0, 0.0)
FAILURE = Failure("x", "x.wav", "DecodeAudio", "not_found", 'there is no "x.wav" 😀', "run1")


def make_part(key: str, rows: Sequence[tuple[str, Mapping[str, str]]], failures: Sequence[Failure] = ()) -> bytes:
    """A part of a run with default options; `rows` are pairs of an id and extra columns."""
    annotations = [
        Annotation(
            Recording(id, f"{id}.wav", extra=tuple(extra.items())), FACTS, {"transcribe": Transcript(id, "en", 0)}
        )
        for id, extra in rows
    ]
    report = PartReport(key, len(annotations), tuple(failures))
    return encode_part(annotations_table(annotations, JobOptions().tasks()), report, "run1", "f00d")


def write_small_parts(store: OutputStore, keys: Sequence[str]) -> None:
    """Write an output whose parts have two rows and a failure each."""
    store.create(JOB_PATH, b"{}")
    for key in keys:
        store.create(store.part_path(key), make_part(key, [(f"{key}-0", {}), (f"{key}-1", {})], [FAILURE]))


def small_part_contents(keys: Sequence[str]) -> tuple[list[str], int]:
    """Result of `read_contents` for the parts of `write_small_parts`."""
    return sorted(f"{key}-{number}" for key in keys for number in range(2)), len(keys)


def read_contents(store: OutputStore) -> tuple[list[str], int]:
    """Ids of the annotations and the number of failures, over all parts."""
    parts = [store.read_part(path) for path in store.parts()]
    return sorted(id for ids, _ in parts for id in ids), sum(len(report.failures) for _, report in parts)


def bytes_of_three_parts(store: OutputStore) -> int:
    """A size limit by which twelve small parts are merged into four."""
    return 3 * max(store.part_bytes().values()) + 1
