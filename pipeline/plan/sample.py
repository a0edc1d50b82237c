"""A random sample of recordings that arrive one at a time."""

import hashlib
import heapq
from collections.abc import Iterable

from earmark.schemas.records import Recording

DIGEST_BYTES = 8  # collisions among a hundred million ids are unlikely; equal hashes are ordered by the id


class Reservoir:
    """The `size` recordings whose ids have the smallest hashes: every set of ids is equally likely.

    Unlike a reservoir with random numbers, it holds the same sample for any order of the recordings and the same seed,
    and a manifest that has grown changes little of it.
    """

    def __init__(self, size: int, seed: int):
        self._size, self._key = size, str(seed).encode()[: hashlib.blake2b.MAX_KEY_SIZE]
        self._held: list[tuple[int, str, Recording]] = []  # a heap with the largest hash first

    def offer(self, recordings: Iterable[Recording]) -> None:
        """Offers recordings to the sample; each id must come only once."""
        if not self._size:
            return
        key, held = self._key, self._held
        for recording in recordings:
            id = recording.id.encode("utf-8", "surrogatepass")
            order = -int.from_bytes(hashlib.blake2b(id, digest_size=DIGEST_BYTES, key=key).digest(), "big")
            if len(held) < self._size:
                heapq.heappush(held, (order, recording.id, recording))
            elif order >= held[0][0]:
                heapq.heappushpop(held, (order, recording.id, recording))

    def sample(self) -> tuple[Recording, ...]:
        """At most `size` recordings, smallest hash first: the first n are a random sample, too."""
        return tuple(recording for _, _, recording in sorted(self._held, key=lambda held: (-held[0], held[1])))
