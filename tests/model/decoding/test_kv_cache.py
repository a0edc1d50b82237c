"""The KV cache against plain concatenation, layer by layer."""

import pytest
import torch

from earmark.model.decoding.kv_cache import GROWTH_SLOTS, SlotCache

LAYERS, HEADS, SIZE = 2, 3, 4


class PlainCache:
    """The expected content of a SlotCache, by concatenation."""

    def __init__(self, clips):
        self.layers = [torch.zeros(clips, HEADS, 0, SIZE) for _ in range(LAYERS)]

    def add(self, cache, slots, generator, unused=0):
        """Append new slots to both, and unused ones to the cache; compare what the cache returns."""
        clips = self.layers[0].shape[0]
        for layer in range(LAYERS):
            new = torch.randn(clips, HEADS, slots, SIZE, generator=generator)
            self.layers[layer] = torch.cat([self.layers[layer], new], 2)
            # 0 times NaN is NaN in attention, so no value of an unused slot may show up later.
            new = torch.cat([new, torch.full((clips, HEADS, unused, SIZE), torch.nan)], 2)
            keys, values = cache.update(new, -new, layer)
            used = keys.shape[2] - unused
            assert torch.equal(keys[:, :, :used], self.layers[layer])
            assert torch.equal(values[:, :, :used], -self.layers[layer])
            assert torch.equal(keys[:, :, used:].isnan(), torch.ones(clips, HEADS, unused, SIZE, dtype=torch.bool))
        cache.advance(slots)

    def keep_clips(self, clips):
        self.layers = [layer[clips] for layer in self.layers]


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


def filled_caches(clips, slots, generator):
    cache, plain = SlotCache(LAYERS), PlainCache(clips)
    plain.add(cache, slots, generator)
    return cache, plain


def test_new_slots_are_appended_while_the_cache_grows(generator):
    cache, plain = filled_caches(2, 5, generator)
    for slots in (1, 1, GROWTH_SLOTS - 2, 1, 1, 3 * GROWTH_SLOTS, 1):
        plain.add(cache, slots, generator)
    assert cache.used == plain.layers[0].shape[2]


def test_the_cache_is_copied_only_once_in_many_tokens(generator, monkeypatch):
    copies = []
    real = SlotCache._grown
    monkeypatch.setattr(SlotCache, "_grown", lambda *arguments: copies.append(1) or real(*arguments))
    cache, plain = filled_caches(1, 5, generator)
    for _ in range(GROWTH_SLOTS):
        plain.add(cache, 1, generator)
    assert len(copies) == 2 * LAYERS
    plain.add(cache, 1, generator)
    assert len(copies) == 4 * LAYERS


def test_unused_slots_are_overwritten(generator):
    cache, plain = SlotCache(LAYERS), PlainCache(2)
    plain.add(cache, 5, generator, unused=7)
    assert cache.used == 5
    for slots in (1, 3, GROWTH_SLOTS):
        plain.add(cache, slots, generator)


def test_clips_are_kept_in_the_order_of_the_indices(generator):
    cache, plain = filled_caches(4, 5, generator)
    clips = torch.tensor([3, 1])
    cache.keep_clips(clips)
    plain.keep_clips(clips)
    for slots in (1, GROWTH_SLOTS + 1):
        plain.add(cache, slots, generator)


def test_joined_caches_hold_zeros_where_one_is_shorter(generator):
    caches, plains = zip(
        *(filled_caches(clips, slots, generator) for clips, slots in [(2, 5), (1, 9), (3, 1)]), strict=True
    )
    plains[0].add(caches[0], 1, generator, unused=2)
    joined, expected = SlotCache.joined(list(caches)), PlainCache(6)
    expected.layers = [
        torch.cat(
            [
                torch.nn.functional.pad(plain.layers[layer], (0, 0, 0, 9 - plain.layers[layer].shape[2]))
                for plain in plains
            ]
        )
        for layer in range(LAYERS)
    ]
    assert joined.used == 9
    for layer in range(LAYERS):
        assert joined._keys[layer].isfinite().all() and joined._values[layer].isfinite().all()
    for slots in (1, GROWTH_SLOTS):
        expected.add(joined, slots, generator)
    joined.keep_clips(torch.tensor([5, 0]))
    expected.keep_clips(torch.tensor([5, 0]))
    expected.add(joined, 1, generator)


def test_joined_caches_drop_their_own_tensors(generator):
    (first, _), (second, _) = filled_caches(1, 2, generator), filled_caches(1, 2, generator)
    SlotCache.joined([first, second])
    assert first._keys == first._values == second._keys == second._values == [None] * LAYERS


def test_layers_taken_out_hold_the_used_slots_and_make_a_new_cache(generator):
    cache, plain = SlotCache(LAYERS), PlainCache(2)
    plain.add(cache, 5, generator, unused=3)
    assert cache.sample().shape[:2] == (2, HEADS)
    layers = [cache.take(layer) for layer in range(LAYERS)]
    for (keys, values), expected in zip(layers, plain.layers, strict=True):
        assert torch.equal(keys, expected) and torch.equal(values, -expected)
    restored = SlotCache.of([keys for keys, _ in layers], [values for _, values in layers])
    assert restored.used == 5
    for slots in (1, GROWTH_SLOTS):
        plain.add(restored, slots, generator)
