"""Decode steps over fixed shapes give the answers of steps over a growing cache; on CUDA, as captured graphs too."""

import pytest
import torch
from transformers import Qwen2AudioForConditionalGeneration

import earmark.model.decoding.cuda_graphs
from earmark.model.decoding.cuda_graphs import CudaGraphStepRunner, StaticStepRunner
from earmark.model.decoding.greedy import decode_greedily
from earmark.model.decoding.prefix_decoder import SharedPrefixDecoder
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.decoding.step_runner import GrowingStepRunner
from tests.support.checkpoints.small_qwen2_audio import write_checkpoint

pytestmark = pytest.mark.model

EOS_IDS = tuple(range(0, 512, 9))  # enough of the vocabulary that answers end at different lengths
PREFIX_IDS = (300, 301)
AUDIO_TOKENS = (40, 33, 31, 12, 7, 3, 3, 2, 1, 1)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp("random"), hidden=64, layers=3)
    return Qwen2AudioForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


def prefilled(model):
    """Ten clips of random audio, with three questions each, after their prefill."""
    audio = torch.randn(len(AUDIO_TOKENS), max(AUDIO_TOKENS), 64, generator=torch.Generator().manual_seed(1))
    rows = [
        [PromptBranch((310 + clip, 320), 40), PromptBranch((330,), 7), PromptBranch((340, 341, 342), 60)]
        for clip in range(len(AUDIO_TOKENS))
    ]
    decoder = SharedPrefixDecoder(model.model.language_model, model.lm_head, EOS_IDS)
    with torch.inference_mode():
        return decoder.prefill(PREFIX_IDS, audio.to(model.device), AUDIO_TOKENS, rows)


def decoded(runner, state):
    device = state.positions.device
    limits = torch.tensor([[40, 7, 60]] * len(AUDIO_TOKENS), device=device)
    with torch.inference_mode():
        return decode_greedily(
            runner, state.first_logits, state.positions, limits, torch.tensor(EOS_IDS, device=device)
        )


def decoded_on_growing_cache(model):
    state = prefilled(model)
    runner = GrowingStepRunner(model.model.language_model, model.lm_head, state.cache, state.slot_branch)
    return decoded(runner, state)


def assert_same(actual, expected, tolerance=1e-3):
    for actual_row, expected_row in zip(actual, expected, strict=True):
        for answer, reference in zip(actual_row, expected_row, strict=True):
            assert answer.tokens == reference.tokens
            assert (answer.truncated, answer.token_count) == (reference.truncated, reference.token_count)
            assert answer.logprob_sum == pytest.approx(reference.logprob_sum, abs=tolerance)


@pytest.mark.parametrize("slot_step", [4, 256])
def test_fixed_shapes_give_the_same_answers(language_model, slot_step, monkeypatch):
    monkeypatch.setattr(earmark.model.decoding.cuda_graphs, "SLOT_STEP", slot_step)
    expected = decoded_on_growing_cache(language_model)
    lengths = {len(answer.tokens) for row in expected for answer in row}
    assert len(lengths) > 8, "with answers of one length, none would leave the batch before the others"
    shapes: list[tuple[int, int, int]] = []
    runner = StaticStepRunner(language_model.model.language_model, language_model.lm_head)
    make = runner._make
    monkeypatch.setattr(runner, "_make", lambda shape: (shapes.append(shape), make(shape)))
    for _ in range(2):  # the second batch reuses the tensors of the first
        state = prefilled(language_model)
        runner.start(state.cache, state.slot_branch)
        assert_same(decoded(runner, state), expected)
    assert {rows for rows, _, _ in shapes} > {12, 4}, "ten clips at first, and fewer once half of them have left"
    assert (len(shapes) > 12) == (slot_step == 4), "new tensors are allocated when the slots are full, and only then"


class _Captured(StaticStepRunner):
    """Requires the tensors of the last capture at every step, as a CUDA graph does; runs out of memory on request."""

    captures_until_oom = 100

    def _tensors(self):
        return self._tokens, self._positions, self._branch, self._slot_branch, self._slots, *self._slots.keys

    def _prepare(self):
        self.captures_until_oom -= 1
        if not self.captures_until_oom:
            raise torch.OutOfMemoryError("out of memory")
        self._captured = self._tensors()

    def _forward(self):
        assert all(captured is tensor for captured, tensor in zip(self._captured, self._tensors(), strict=True))
        super()._forward()


@pytest.mark.parametrize("captures", [1, 2, 3])
def test_after_running_out_of_memory_the_answers_are_the_same(language_model, captures):
    expected = decoded_on_growing_cache(language_model)
    runner = _Captured(language_model.model.language_model, language_model.lm_head)
    runner.captures_until_oom = captures
    state = prefilled(language_model)
    runner.start(state.cache, state.slot_branch)
    with pytest.raises(torch.OutOfMemoryError):
        decoded(runner, state)
    runner.finish()
    state = prefilled(language_model)
    runner.start(state.cache, state.slot_branch)
    assert_same(decoded(runner, state), expected)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_graphs_give_the_same_answers_on_cuda(language_model, tmp_path):
    on_device = language_model.to("cuda")
    try:
        expected = decoded_on_growing_cache(on_device)
        runner = CudaGraphStepRunner(on_device.model.language_model, on_device.lm_head)
        for _ in range(2):
            state = prefilled(on_device)
            runner.start(state.cache, state.slot_branch)
            assert_same(decoded(runner, state), expected)
    finally:
        language_model.to("cpu")
