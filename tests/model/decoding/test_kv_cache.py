"""The cache of slots against plain concatenation, layer by layer."""

import pytest
import torch

from earmark.model.decoding.kv_cache import GROWTH_SLOTS, SlotCache

LAYERS, HEADS, SIZE = 2, 3, 4


class Plain:
    """What a SlotCache is to hold, by concatenation."""

    def __init__(self, clips):
        self.layers = [torch.zeros(clips, HEADS, 0, SIZE) for _ in range(LAYERS)]

    def add(self, cache, slots, generator, forgotten=0):
        """Puts new slots into both, and some behind them to be forgotten; looks at what the cache returns."""
        clips = self.layers[0].shape[0]
        for layer in range(LAYERS):
            new = torch.randn(clips, HEADS, slots, SIZE, generator=generator)
            self.layers[layer] = torch.cat([self.layers[layer], new], 2)
            # 0 times NaN is NaN in attention: what is forgotten must not come back anywhere.
            new = torch.cat([new, torch.full((clips, HEADS, forgotten, SIZE), torch.nan)], 2)
            keys, values = cache.update(new, -new, layer)
            held = keys.shape[2] - forgotten
            assert torch.equal(keys[:, :, :held], self.layers[layer])
            assert torch.equal(values[:, :, :held], -self.layers[layer])
            assert torch.equal(keys[:, :, held:].isnan(), torch.ones(clips, HEADS, forgotten, SIZE, dtype=torch.bool))
        cache.advance(slots)

    def keep_clips(self, clips):
        self.layers = [layer[clips] for layer in self.layers]


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


def filled(clips, slots, generator):
    cache, plain = SlotCache(LAYERS), Plain(clips)
    plain.add(cache, slots, generator)
    return cache, plain


def test_slots_are_put_behind_each_other_however_far_the_cache_grows(generator):
    cache, plain = filled(2, 5, generator)
    for slots in (1, 1, GROWTH_SLOTS - 2, 1, 1, 3 * GROWTH_SLOTS, 1):
        plain.add(cache, slots, generator)
    assert cache.used == plain.layers[0].shape[2]


def test_growth_copies_the_cache_once_in_many_tokens(generator, monkeypatch):
    grown = []
    real = SlotCache._grown
    monkeypatch.setattr(SlotCache, "_grown", lambda *arguments: grown.append(1) or real(*arguments))
    cache, plain = filled(1, 5, generator)
    for _ in range(GROWTH_SLOTS):
        plain.add(cache, 1, generator)
    assert len(grown) == 2 * LAYERS
    plain.add(cache, 1, generator)
    assert len(grown) == 4 * LAYERS


def test_slots_that_are_forgotten_are_written_over(generator):
    cache, plain = SlotCache(LAYERS), Plain(2)
    plain.add(cache, 5, generator, forgotten=7)
    assert cache.used == 5
    for slots in (1, 3, GROWTH_SLOTS):
        plain.add(cache, slots, generator)


def test_clips_are_kept_in_the_order_they_are_named(generator):
    cache, plain = filled(4, 5, generator)
    kept = torch.tensor([3, 1])
    cache.keep_clips(kept)
    plain.keep_clips(kept)
    for slots in (1, GROWTH_SLOTS + 1):
        plain.add(cache, slots, generator)


def test_caches_are_joined_with_zeros_where_one_is_shorter(generator):
    caches, plains = zip(*(filled(clips, slots, generator) for clips, slots in [(2, 5), (1, 9), (3, 1)]), strict=True)
    plains[0].add(caches[0], 1, generator, forgotten=2)
    joined, whole = SlotCache.joined(list(caches)), Plain(6)
    whole.layers = [
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
        whole.add(joined, slots, generator)
    joined.keep_clips(torch.tensor([5, 0]))
    whole.keep_clips(torch.tensor([5, 0]))
    whole.add(joined, 1, generator)


def test_caches_that_are_joined_let_go_of_what_they_held(generator):
    (one, _), (other, _) = filled(1, 2, generator), filled(1, 2, generator)
    SlotCache.joined([one, other])
    assert one._keys == one._values == other._keys == other._values == [None] * LAYERS


def test_what_is_taken_from_a_layer_is_what_was_used_and_makes_a_cache_again(generator):
    cache, plain = SlotCache(LAYERS), Plain(2)
    plain.add(cache, 5, generator, forgotten=3)
    assert cache.sample().shape[:2] == (2, HEADS)
    taken = [cache.take(layer) for layer in range(LAYERS)]
    for (keys, values), expected in zip(taken, plain.layers, strict=True):
        assert torch.equal(keys, expected) and torch.equal(values, -expected)
    again = SlotCache.of([keys for keys, _ in taken], [values for _, values in taken])
    assert again.used == 5
    for slots in (1, GROWTH_SLOTS):
        plain.add(again, slots, generator)
