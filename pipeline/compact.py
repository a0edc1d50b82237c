"""`earmark compact`: many small parts of an output become few large ones; and `earmark parts`, which lists them.

Imports neither Beam nor torch, nor `terminal`, which does: both commands are for scripts, in small containers too.
"""

import dataclasses
import importlib.metadata
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from time import sleep

from rich.markup import escape
from rich.progress import track
from rich.table import Table

from earmark.pipeline.console.console import console, errors, is_terminal
from earmark.pipeline.shutdown import graceful_shutdown
from earmark.schemas.errors import JobError
from earmark.schemas.text import counted
from earmark.transforms.output.lease import check_lease, new_run_id, take_lease
from earmark.transforms.output.merge import MAX_ENTRIES, MergedPart, group_parts, merge_parts, read_small
from earmark.transforms.output.store import JOB_PATH, OutputStore
from earmark.transforms.stop_request import StopRequest

# A reader that lists folder by folder may be past the merged parts when one comes; by the time that what it stands for
# goes, that reader has seen it all. Listing 100,000 parts takes 0.3 s (BENCHMARKS.md).
LISTING_S = 1.0


@dataclass(frozen=True, slots=True)
class Compaction:
    """How a compaction ended.

    Attributes:
        run_id: names it in the merged parts' footers.
        parts_before, parts_after: of the whole output.
        replaced, merged: how many parts went into how many.
        replaced_bytes, merged_bytes: the sizes of those.
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
    """Merges the parts of an output that are smaller than half of `part_mb`.

    Raises:
        JobError: there is no such output, a run is at work there, or it cannot be read or written.
        MachineError: another run has taken the output over.
    """
    if part_mb < 1:
        raise JobError(f"--part_mb={part_mb} does not work: give 1 or more")
    try:
        return compact_store(OutputStore.at(output), part_mb * 2**20, take_over)
    except OSError as error:
        raise JobError(f"output {output} cannot be compacted: {error}") from error


def part_urls(output: str) -> list[str]:
    """Paths or URLs of the parts of an output that count; together they hold each annotation once.

    Raises:
        JobError: the output cannot be read, or has no parts.
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
    """Merges the parts that are smaller than half of `max_bytes` into ones that are not larger than that.

    Holds one group of them at a time. Whatever it is cut at, each row is in one part of `store.parts()`. Who asks it to
    stop (StopRequest of the result's run) gets what was done until then.
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
            with stop.in_flight(part.path) as wanted:
                if not wanted:
                    break
                stop.mark_progress()
                _put_in_place(store, part, run_id)
            replaced, merged = replaced + len(part.replaces), merged + 1
            replaced_bytes += sum(sizes[path] for path in part.replaces)
            merged_bytes += len(part.content)
        before = len(listing.parts)
        after = before - replaced + merged
        done = Compaction(run_id, store.root, before, after, replaced, merged, replaced_bytes, merged_bytes)
        store.create(f"_earmark/runs/{run_id}/compact.json", _about(done).encode())
    return done


def _put_in_place(store: OutputStore, part: MergedPart, run_id: str) -> None:
    check_lease(store, run_id)
    store.create(part.path, part.content)
    sleep(LISTING_S)
    check_lease(store, run_id)
    store.remove_all(part.replaces)


def _merged(store: OutputStore, small: list[str], max_bytes: int, stop: StopRequest) -> Iterator[MergedPart]:
    """Merged parts one by one; a part that has nothing to go with is left as it is."""
    parts = store.read_all(small)
    read = track(parts, "compacting", len(small), console=errors, transient=True, disable=not is_terminal(stderr=True))
    until_stopped = itertools.takewhile(lambda _: stop.signal_number is None, read)
    for group in group_parts((read_small(*one) for one in until_stopped), max_bytes, MAX_ENTRIES):
        if len(group) > 1:
            yield merge_parts(group, stop.run_id)


def _about(done: Compaction) -> str:
    versions = {name: importlib.metadata.version(name) for name in ("earmark", "pyarrow")}
    return json.dumps(dataclasses.asdict(done) | {"libraries": versions}, indent=2) + "\n"


def print_compaction(done: Compaction) -> None:
    if not done.merged:
        console.print(f"Nothing to merge in {counted(done.parts_before, 'part')}.")
        return
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("parts before", str(done.parts_before))
    table.add_row("parts now", str(done.parts_after))
    sizes = f"{done.replaced_bytes / 1e6:.1f} MB to {done.merged_bytes / 1e6:.1f} MB"
    table.add_row("merged", f"{done.replaced} into {done.merged}, {sizes}")
    table.add_row("annotations", escape(f"{done.output}/annotations"))
    console.print(table)
