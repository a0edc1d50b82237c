"""Unpacks members of a tar, from a few ranges of bytes."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from earmark.model.checkpoints.retry import retry_transient
from earmark.schemas.errors import RowError
from earmark.schemas.locations import TarLocation
from earmark.transforms.containers.container_file import ContainerFile
from earmark.transforms.storage.fetch_audio import row_error
from earmark.transforms.storage.scratch_file import write

# BLOCKS_AT_ONCE blocks of up to BLOCK_BYTES are in memory at a time, fetched in parallel where the file system can.
BLOCK_BYTES = 16 * 2**20
BLOCKS_AT_ONCE = 4
MAX_GAP_BYTES = 2**20  # read and discarded between two members, as a request takes as long as their transfer


@dataclass(slots=True)
class _Block:
    """A range of the tar to read at once: neighbouring members, by their index, or a piece of a long member."""

    start: int
    end: int
    members: list[int]


def unpack_tar(
    container: ContainerFile, locations: Sequence[TarLocation], targets: Sequence[str]
) -> list[str | RowError]:
    """Write the bytes at each location to its target; return each target, or the error of its member.

    Raises:
        MachineError: The machine is at fault, not a member.
    """
    results: list[str | RowError] = list(targets)
    for target in targets:
        write(target, b"", "wb")
    blocks = _blocks(locations)
    for first in range(0, len(blocks), BLOCKS_AT_ONCE):
        together = blocks[first : first + BLOCKS_AT_ONCE]
        for block, content in zip(together, _contents(container, locations[0].container, together), strict=True):
            for member in block.members:
                if isinstance(content, RowError):
                    results[member] = content
                else:
                    write(targets[member], _part(locations[member], block, content), "ab")
    return results


def _blocks(locations: Sequence[TarLocation]) -> list[_Block]:
    """Ranges of bytes that hold all locations, in order of the tar, in blocks of at most BLOCK_BYTES."""
    blocks: list[_Block] = []
    for member in sorted(range(len(locations)), key=lambda member: locations[member].start):
        location = locations[member]
        start, end = location.start, location.start + location.size_bytes
        last = blocks[-1] if blocks else None
        if last and start - last.end <= MAX_GAP_BYTES and end - last.start <= BLOCK_BYTES:
            last.end = end
            last.members.append(member)
        else:
            cuts = [*range(start, end, BLOCK_BYTES), end]
            blocks += [_Block(*piece, [member]) for piece in itertools.pairwise(cuts)]
    return blocks


def _contents(container: ContainerFile, tar: str, blocks: Sequence[_Block]) -> list[bytes | RowError]:
    """Bytes of each block, or the error that reading it raised."""
    starts, ends = [block.start for block in blocks], [block.end for block in blocks]
    try:
        read = retry_transient(container.file_system.cat_ranges)
        contents = read([container.path] * len(blocks), starts, ends, on_error="raise")
    except Exception as error:  # file systems raise errors of any class; row_error sorts them
        return [row_error(tar, error)] * len(blocks)
    return [
        content if len(content) == block.end - block.start else _cut_short(tar, block, len(content))
        for block, content in zip(blocks, contents, strict=True)
    ]


def _cut_short(tar: str, block: _Block, received: int) -> RowError:
    expected = block.end - block.start
    hint = "is it whole, and does its server give parts of files?"
    return RowError("cut_short", f"{received} bytes came of the {expected} from byte {block.start} of {tar}; {hint}")


def _part(location: TarLocation, block: _Block, content: bytes) -> memoryview:
    """Bytes of a member that the block holds."""
    start, end = max(location.start, block.start), min(location.start + location.size_bytes, block.end)
    return memoryview(content)[start - block.start : end - block.start]
