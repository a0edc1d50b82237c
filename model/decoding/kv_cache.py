"""Keys and values of what a batch of clips has heard and said so far, in slots that several answers share."""

from collections.abc import Sequence

import torch

GROWTH_SLOTS = 64  # room for new tokens is made in steps of so many, so that answers do not copy the cache each token


class SlotCache:
    """Keys and values in slots, (clips, heads, slots, head size) a layer.

    A clip's audio is in the cache once, whatever number of answers continue from it; who may see which slot is the
    attention mask's business. It stands in for transformers' Cache, of which its language models use `update` alone.
    """

    def __init__(self, layers: int) -> None:
        self._keys: list[torch.Tensor | None] = [None] * layers
        self._values: list[torch.Tensor | None] = [None] * layers
        self.used = 0  # slots that are taken

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Puts keys and values (clips, heads, new slots, head size) behind those used; returns all of the layer's."""
        end = self.used + keys.shape[2]
        views = []
        for kept, new in ((self._keys, keys), (self._values, values)):
            buffer = kept[layer]
            if buffer is None or buffer.shape[2] < end:
                buffer = kept[layer] = self._grown(buffer, new, end + GROWTH_SLOTS)
            buffer[:, :, self.used : end] = new
            views.append(buffer[:, :, :end])
        return views[0], views[1]

    def _grown(self, buffer: torch.Tensor | None, like: torch.Tensor, slots: int) -> torch.Tensor:
        grown = like.new_empty(like.shape[0], like.shape[1], slots, like.shape[3])
        if buffer is not None:
            grown[:, :, : self.used] = buffer[:, :, : self.used]
        return grown

    def advance(self, slots: int) -> None:
        """Counts slots as used that every layer's `update` has filled; what it filled behind them is forgotten."""
        self.used += slots

    def take(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the used slots of a layer, which the cache lets go."""
        keys, values = self._keys[layer], self._values[layer]
        self._keys[layer] = self._values[layer] = None
        assert keys is not None and values is not None
        return keys[:, :, : self.used], values[:, :, : self.used]

    def sample(self) -> torch.Tensor:
        """One of the tensors, for its shape and kind."""
        return next(keys for keys in self._keys if keys is not None)

    @classmethod
    def of(cls, keys: list[torch.Tensor], values: list[torch.Tensor]) -> "SlotCache":
        """A cache of what is used, a tensor a layer."""
        cache = cls(len(keys))
        cache._keys, cache._values, cache.used = list(keys), list(values), keys[0].shape[2]
        return cache

    def keep_clips(self, clips: torch.Tensor) -> None:
        """Forgets all clips but those at the indices."""
        self._keys = [keys[clips] if keys is not None else None for keys in self._keys]
        self._values = [values[clips] if values is not None else None for values in self._values]

    @classmethod
    def joined(cls, caches: "list[SlotCache]") -> "SlotCache":
        """One cache with the clips of all, in order; slots that one of them lacks hold zeros."""
        whole = cls(len(caches[0]._keys))
        whole.used = max(cache.used for cache in caches)
        for layer in range(len(whole._keys)):
            # Taken a layer at a time, so that the whole is not in memory twice.
            keys, values = zip(*(cache.take(layer) for cache in caches), strict=True)
            whole._keys[layer], whole._values[layer] = whole._stacked(keys), whole._stacked(values)
        return whole

    def _stacked(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Tensors of the used slots of several caches, one behind the other, with room for more slots."""
        like = parts[0]
        whole = like.new_zeros(sum(map(len, parts)), like.shape[1], self.used + GROWTH_SLOTS, like.shape[3])
        start = 0
        for part in parts:
            whole[start : start + len(part), :, : part.shape[2]] = part
            start += len(part)
        return whole
