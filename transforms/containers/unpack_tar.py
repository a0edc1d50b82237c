"""Members of a tar as files, from few byte ranges of it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from earmark.model.checkpoints.retry import retry_transient
from earmark.schemas.errors import RowError
from earmark.schemas.locations import TarLocation
from earmark.transforms.containers.container_file import ContainerFile
from earmark.transforms.storage.fetch_audio import row_error
from earmark.transforms.storage.scratch_file import write

# In memory at a time are so many blocks of so many bytes; a file system that can fetches them side by side.
BLOCK_BYTES = 16 * 2**20
BLOCKS_AT_ONCE = 4
MAX_GAP_BYTES = 2**20  # that are read for nothing between two members; a request takes as long as the transfer of them


@dataclass(slots=True)
class _Block:
    """A range of the tar to read at once: neighbouring members by their index, or a piece of a long one."""

    start: int
    end: int
    members: list[int]


def unpack_tar(container: ContainerFile, places: Sequence[TarLocation], targets: Sequence[str]) -> list[str | RowError]:
    """ReplicaPool the bytes at each place to its target; the targets, or why there is none, in order.

    Raises:
        MachineError: no member is to blame.
    """
    results: list[str | RowError] = list(targets)
    for target in targets:
        write(target, b"", "wb")
    blocks = _blocks(places)
    for first in range(0, len(blocks), BLOCKS_AT_ONCE):
        together = blocks[first : first + BLOCKS_AT_ONCE]
        for block, content in zip(together, _contents(container, places[0].container, together), strict=True):
            for member in block.members:
                if isinstance(content, RowError):
                    results[member] = content
                else:
                    write(targets[member], _part(places[member], block, content), "ab")
    return results


def _blocks(places: Sequence[TarLocation]) -> list[_Block]:
    """All that is at the places, in order of the tar, in blocks of at most BLOCK_BYTES."""
    blocks: list[_Block] = []
    for member in sorted(range(len(places)), key=lambda member: places[member].start):
        start, end = places[member].start, places[member].start + places[member].size_bytes
        last = blocks[-1] if blocks else None
        if last and start - last.end <= MAX_GAP_BYTES and end - last.start <= BLOCK_BYTES:
            last.end = end
            last.members.append(member)
        else:
            cuts = [*range(start, end, BLOCK_BYTES), end]
            blocks += [_Block(*piece, [member]) for piece in itertools.pairwise(cuts)]
    return blocks


def _contents(container: ContainerFile, tar: str, blocks: Sequence[_Block]) -> list[bytes | RowError]:
    """What is in the blocks, or why it cannot be had."""
    starts, ends = [block.start for block in blocks], [block.end for block in blocks]
    try:
        read = retry_transient(container.file_system.cat_ranges)
        found = read([container.path] * len(blocks), starts, ends, on_error="raise")
    except Exception as error:  # file systems raise what they like; row_error sorts it
        return [row_error(tar, error)] * len(blocks)
    return [
        content if len(content) == block.end - block.start else _not_all(tar, block, len(content))
        for block, content in zip(blocks, found, strict=True)
    ]


def _not_all(tar: str, block: _Block, came: int) -> RowError:
    wanted = block.end - block.start
    hint = "is it whole, and does its server give parts of files?"
    return RowError("cut_short", f"{came} bytes came of the {wanted} from byte {block.start} of {tar}; {hint}")


def _part(place: TarLocation, block: _Block, content: bytes) -> memoryview:
    """What the block has of a member."""
    start, end = max(place.start, block.start), min(place.start + place.size_bytes, block.end)
    return memoryview(content)[start - block.start : end - block.start]
