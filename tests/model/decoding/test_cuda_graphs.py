"""Decoding over tensors of fixed shapes says what decoding over growing ones says; on CUDA, as graphs too."""

import pytest
import torch
from transformers import Qwen2AudioForConditionalGeneration

import earmark.model.decoding.cuda_graphs
from earmark.model.decoding.cuda_graphs import GraphedSteps, StaticSteps
from earmark.model.decoding.greedy import decode_greedily
from earmark.model.decoding.prefix_decoder import SharedPrefixDecoder
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.decoding.step_runner import GrowingSteps
from tests.support.checkpoints.small_qwen2_audio import write_checkpoint

STOPS = tuple(range(0, 512, 9))  # so many that answers end at different lengths
HEAD = (300, 301)
AUDIO_TOKENS = (40, 33, 31, 12, 7, 3, 3, 2, 1, 1)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp("random"), hidden=64, layers=3)
    return Qwen2AudioForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


def listen(model):
    """Ten clips of random audio, asked three questions each."""
    audio = torch.randn(len(AUDIO_TOKENS), max(AUDIO_TOKENS), 64, generator=torch.Generator().manual_seed(1))
    rows = [
        [PromptBranch((310 + clip, 320), 40), PromptBranch((330,), 7), PromptBranch((340, 341, 342), 60)]
        for clip in range(len(AUDIO_TOKENS))
    ]
    sharer = SharedPrefixDecoder(model.model.language_model, model.lm_head, STOPS)
    with torch.inference_mode():
        return sharer.prefill(HEAD, audio.to(model.device), AUDIO_TOKENS, rows)


def decoded(steps, heard):
    device = heard.positions.device
    limits = torch.tensor([[40, 7, 60]] * len(AUDIO_TOKENS), device=device)
    with torch.inference_mode():
        return decode_greedily(steps, heard.first_logits, heard.positions, limits, torch.tensor(STOPS, device=device))


def growing(model):
    heard = listen(model)
    return decoded(GrowingSteps(model.model.language_model, model.lm_head, heard.cache, heard.slot_branch), heard)


def assert_same(found, wanted, tolerance=1e-3):
    for clip, of_clip in zip(found, wanted, strict=True):
        for one, other in zip(clip, of_clip, strict=True):
            assert (one.tokens, one.truncated, one.token_count) == (other.tokens, other.truncated, other.token_count)
            assert one.logprob_sum == pytest.approx(other.logprob_sum, abs=tolerance)


@pytest.mark.parametrize("slot_step", [4, 256])
def test_fixed_shapes_give_the_same_answers(language_model, slot_step, monkeypatch):
    monkeypatch.setattr(earmark.model.decoding.cuda_graphs, "SLOT_STEP", slot_step)
    wanted = growing(language_model)
    lengths = {len(said.tokens) for clip in wanted for said in clip}
    assert len(lengths) > 8, "answers of one length show nothing of those that leave"
    made: list[tuple[int, int, int]] = []
    steps = StaticSteps(language_model.model.language_model, language_model.lm_head)
    make = steps._make
    monkeypatch.setattr(steps, "_make", lambda shape: (made.append(shape), make(shape)))
    for _ in range(2):  # the second batch finds the tensors of the first
        heard = listen(language_model)
        steps.start(heard.cache, heard.slot_branch)
        assert_same(decoded(steps, heard), wanted)
    assert {rows for rows, _, _ in made} > {12, 4}, "ten clips at first, and fewer when half of them left"
    assert (len(made) > 12) == (slot_step == 4), "tensors are made anew when they are full, and not otherwise"


class _Captured(StaticSteps):
    """Steps over the very tensors that were there at the capture, as those of a graph are; short of memory at will."""

    memory = 100

    def _tensors(self):
        return self._chosen, self._positions, self._asker, self._owner, self._slots, *self._slots.keys

    def _prepare(self):
        self.memory -= 1
        if not self.memory:
            raise torch.OutOfMemoryError("out of memory")
        self._seen = self._tensors()

    def _forward(self):
        assert all(seen is tensor for seen, tensor in zip(self._seen, self._tensors(), strict=True))
        super()._forward()


@pytest.mark.parametrize("memory", [1, 2, 3])
def test_after_running_out_of_memory_the_answers_are_the_same(language_model, memory):
    wanted = growing(language_model)
    steps = _Captured(language_model.model.language_model, language_model.lm_head)
    steps.memory = memory
    heard = listen(language_model)
    steps.start(heard.cache, heard.slot_branch)
    with pytest.raises(torch.OutOfMemoryError):
        decoded(steps, heard)
    steps.finish()
    heard = listen(language_model)
    steps.start(heard.cache, heard.slot_branch)
    assert_same(decoded(steps, heard), wanted)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_graphs_give_the_same_answers_on_cuda(language_model, tmp_path):
    on_device = language_model.to("cuda")
    try:
        wanted = growing(on_device)
        steps = GraphedSteps(on_device.model.language_model, on_device.lm_head)
        for _ in range(2):
            heard = listen(on_device)
            steps.start(heard.cache, heard.slot_branch)
            assert_same(decoded(steps, heard), wanted)
    finally:
        language_model.to("cpu")
