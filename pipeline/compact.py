"""Merge the small parts of an output into larger ones, and list the parts.

Imports neither Beam nor torch, nor `progress`, which imports Beam: scripts in small containers use both commands.
"""

import dataclasses
import importlib.metadata
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from time import sleep

from rich.progress import track

from earmark.pipeline.console.console import errors, is_terminal
from earmark.pipeline.shutdown import graceful_shutdown
from earmark.schemas.errors import JobError
from earmark.transforms.output.lease import check_lease, new_run_id, take_lease
from earmark.transforms.output.merge import MAX_ENTRIES, MergedPart, group_parts, merge_parts, read_small
from earmark.transforms.output.store import JOB_PATH, OutputStore
from earmark.transforms.stop_request import StopRequest

# Seconds between writing a merged part and removing the parts it replaces. A reader that lists folder by folder may
# have listed merged/ before the new part came; the wait lets it list the replaced parts. 100,000 take 0.3 s
# (BENCHMARKS.md).
LISTING_S = 1.0


@dataclass(frozen=True, slots=True)
class Compaction:
    """Result of a compaction.

    Attributes:
        run_id: Id of the compaction, which the merged parts' footers record.
        output: Folder or URL of the output.
        parts_before, parts_after: Number of parts in the whole output.
        replaced, merged: Number of parts that were merged, and of the parts they were merged into.
        replaced_bytes, merged_bytes: Total sizes of those parts.
    """

    run_id: str
    output: str
    parts_before: int
    parts_after: int
    replaced: int
    merged: int
    replaced_bytes: int
    merged_bytes: int


def compact(output: str, part_mb: int, take_over: bool) -> Compaction:
    """Merge the parts of an output that are smaller than half of `part_mb`.

    Raises:
        JobError: The output does not exist, is held by a run, or cannot be read or written.
        MachineError: Another run has taken over the output.
    """
    if part_mb < 1:
        raise JobError(f"--part_mb={part_mb} does not work: give 1 or more")
    try:
        return compact_store(OutputStore.at(output), part_mb * 2**20, take_over)
    except OSError as error:
        raise JobError(f"output {output} cannot be compacted: {error}") from error


def part_urls(output: str) -> list[str]:
    """Return the paths or URLs of an output's current parts, which together hold each annotation once.

    Raises:
        JobError: The output cannot be read, or has no parts.
    """
    store = OutputStore.at(output)
    try:
        parts = store.parts()
    except OSError as error:
        raise JobError(f"output {output} cannot be read: {error}") from error
    if not parts:
        raise JobError(f"{store.root} has no annotations")
    return [f"{store.root}/{part}" for part in parts]


def compact_store(store: OutputStore, max_bytes: int, take_over: bool = False) -> Compaction:
    """Merge the parts that are smaller than half of `max_bytes` into parts of at most `max_bytes`.

    One group of parts is in memory at a time. Wherever the process is killed, each row is in exactly one part of
    `store.parts()`. After a StopRequest for its run, the group in flight is finished and the result describes what was
    merged until then.
    """
    run_id = new_run_id()
    stop = StopRequest(run_id)
    try:
        store.read(JOB_PATH)
    except FileNotFoundError as error:
        raise JobError(f"{store.root} is not an output of earmark: it has no {JOB_PATH}") from error
    with take_lease(store, run_id, take_over), graceful_shutdown(stop, "groups of parts"):
        store.clear_temporary()
        listing = store.listing()
        store.remove_all(listing.replaced)
        replaced = merged = replaced_bytes = merged_bytes = 0
        sizes = store.part_bytes()
        small = [part for part in listing.parts if sizes[part] < max_bytes / 2]
        for part in _merged(store, small, max_bytes, stop):
            with stop.in_flight(part.path) as is_started:
                if not is_started:
                    break
                stop.mark_progress()
                _replace_parts(store, part, run_id)
            replaced, merged = replaced + len(part.replaces), merged + 1
            replaced_bytes += sum(sizes[path] for path in part.replaces)
            merged_bytes += len(part.content)
        before = len(listing.parts)
        after = before - replaced + merged
        compaction = Compaction(run_id, store.root, before, after, replaced, merged, replaced_bytes, merged_bytes)
        store.create(f"_earmark/runs/{run_id}/compact.json", _about(compaction).encode())
    return compaction


def _replace_parts(store: OutputStore, part: MergedPart, run_id: str) -> None:
    check_lease(store, run_id)
    store.create(part.path, part.content)
    sleep(LISTING_S)
    check_lease(store, run_id)
    store.remove_all(part.replaces)


def _merged(store: OutputStore, small: list[str], max_bytes: int, stop: StopRequest) -> Iterator[MergedPart]:
    """Yield merged parts one by one; a part that fits no group stays as it is."""
    parts = store.read_all(small)
    read = track(parts, "compacting", len(small), console=errors, transient=True, disable=not is_terminal(stderr=True))
    until_stopped = itertools.takewhile(lambda _: stop.signal_number is None, read)
    for group in group_parts((read_small(*part) for part in until_stopped), max_bytes, MAX_ENTRIES):
        if len(group) > 1:
            yield merge_parts(group, stop.run_id)


def _about(compaction: Compaction) -> str:
    versions = {name: importlib.metadata.version(name) for name in ("earmark", "pyarrow")}
    return json.dumps(dataclasses.asdict(compaction) | {"libraries": versions}, indent=2) + "\n"
