"""The KV cache: keys and values of a batch of clips, in slots that the answers about a clip share."""

from collections.abc import Sequence

import torch

GROWTH_SLOTS = 64  # slots added each time the cache is full, so that decoding does not copy it at every token


class SlotCache:
    """Keys and values in slots, (clips, heads, slots, head size) for each layer.

    The audio of a clip is in the cache once, however many answers continue from it; the attention mask decides which
    slots an answer sees. Takes the place of transformers' Cache, whose `update` alone is called by its language models.

    Attributes:
        used: Number of slots filled so far, the same for all clips.
    """

    def __init__(self, layers: int) -> None:
        self._keys: list[torch.Tensor | None] = [None] * layers
        self._values: list[torch.Tensor | None] = [None] * layers
        self.used = 0

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values (clips, heads, new slots, head size) to a layer; return all of that layer's."""
        end = self.used + keys.shape[2]
        views = []
        for buffers, new in ((self._keys, keys), (self._values, values)):
            buffer = buffers[layer]
            if buffer is None or buffer.shape[2] < end:
                buffer = buffers[layer] = self._grown(buffer, new, end + GROWTH_SLOTS)
            buffer[:, :, self.used : end] = new
            views.append(buffer[:, :, :end])
        return views[0], views[1]

    def _grown(self, buffer: torch.Tensor | None, like: torch.Tensor, slots: int) -> torch.Tensor:
        grown = like.new_empty(like.shape[0], like.shape[1], slots, like.shape[3])
        if buffer is not None:
            grown[:, :, : self.used] = buffer[:, :, : self.used]
        return grown

    def advance(self, slots: int) -> None:
        """Mark slots as used that `update` has filled in every layer; slots filled beyond them are overwritten."""
        self.used += slots

    def take(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return keys and values of a layer's used slots, and drop them from the cache."""
        keys, values = self._keys[layer], self._values[layer]
        self._keys[layer] = self._values[layer] = None
        assert keys is not None and values is not None
        return keys[:, :, : self.used], values[:, :, : self.used]

    def sample(self) -> torch.Tensor:
        """Return any layer's keys, for their shape, dtype and device."""
        return next(keys for keys in self._keys if keys is not None)

    @classmethod
    def of(cls, keys: list[torch.Tensor], values: list[torch.Tensor]) -> "SlotCache":
        """Make a cache of tensors whose slots are all used, one tensor for each layer."""
        cache = cls(len(keys))
        cache._keys, cache._values, cache.used = list(keys), list(values), keys[0].shape[2]
        return cache

    def keep_clips(self, clips: torch.Tensor) -> None:
        """Drop all clips except those at the given indices."""
        self._keys = [keys[clips] if keys is not None else None for keys in self._keys]
        self._values = [values[clips] if values is not None else None for values in self._values]

    @classmethod
    def joined(cls, caches: "list[SlotCache]") -> "SlotCache":
        """Move the clips of several caches into one, in order; slots that a shorter cache lacks hold zeros."""
        joined = cls(len(caches[0]._keys))
        joined.used = max(cache.used for cache in caches)
        for layer in range(len(joined._keys)):
            # One layer at a time, so that the whole cache is never in memory twice.
            keys, values = zip(*(cache.take(layer) for cache in caches), strict=True)
            joined._keys[layer], joined._values[layer] = joined._stacked(keys), joined._stacked(values)
        return joined

    def _stacked(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Stack the used slots of several caches along the clips, with free slots to grow into."""
        like = parts[0]
        stacked = like.new_zeros(sum(map(len, parts)), like.shape[1], self.used + GROWTH_SLOTS, like.shape[3])
        start = 0
        for part in parts:
            stacked[start : start + len(part), :, : part.shape[2]] = part
            start += len(part)
        return stacked
