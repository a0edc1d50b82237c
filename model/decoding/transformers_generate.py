"""What transformers' `generate` writes from an encoder's states, greedily or with beams, and how likely it is."""

from collections.abc import Sequence

import torch
from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from earmark.model.decoding.greedy import Decoded


class _Likelihoods(LogitsProcessor):
    """Remembers how likely each token is that greedy decoding takes, in the numbers that all other processors left.

    `output_scores` would hold the whole vocabulary's numbers of every step until the end.
    """

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.steps.append(scores.amax(dim=-1) - scores.logsumexp(dim=-1))
        return scores


def generate_tokens(
    network: PreTrainedModel,
    encoded: BaseModelOutput,
    attention_mask: torch.Tensor,
    prompts: torch.Tensor,
    beam_size: int,
    max_new_tokens: int,
    processors: Sequence[LogitsProcessor] = (),
) -> list[Decoded]:
    """One text for each clip.

    The library's loop itself: models such as Whisper wrap theirs around it, which encodes the audio again and has one
    prompt for all clips.

    Args:
        network: an encoder and a decoder, whose generation_config says what ends a text and what is never written.
        encoded: what its encoder gives: last_hidden_state (clips, positions, width).
        attention_mask: int64 (clips, frames) of the encoder's input, 1 where it is to be heard.
        prompts: int64 (clips, tokens), what each text begins with.
        beam_size: 1 for greedy decoding.
    """
    likelihoods = _Likelihoods()
    found = GenerationMixin.generate(
        network,
        encoder_outputs=encoded,
        attention_mask=attention_mask,
        decoder_input_ids=prompts,
        logits_processor=LogitsProcessorList([*processors, likelihoods] if beam_size == 1 else processors),
        num_beams=beam_size,
        do_sample=False,
        max_new_tokens=max_new_tokens,
        return_dict_in_generate=True,
        output_scores=beam_size > 1,
    )
    written = found.sequences[:, prompts.shape[1] :].tolist()
    ends = set(end_tokens(network))
    lengths = [next((at for at, token in enumerate(row) if token in ends), None) for row in written]
    counts = [len(row) if length is None else length + 1 for row, length in zip(written, lengths, strict=True)]
    if beam_size == 1:
        steps = torch.stack(likelihoods.steps).double().cpu()
        sums = [float(steps[:count, clip].sum()) for clip, count in enumerate(counts)]
    else:  # beam search divides its sums by this
        penalty = network.generation_config.length_penalty
        penalty = 1.0 if penalty is None else penalty
        scores = found.sequences_scores.tolist()
        sums = [score * count**penalty for score, count in zip(scores, counts, strict=True)]
    return [
        Decoded(tuple(row[:length]), total, count, length is None)
        for row, length, count, total in zip(written, lengths, counts, sums, strict=True)
    ]


def end_tokens(network: PreTrainedModel) -> list[int]:
    """The tokens that end a text."""
    ends = network.generation_config.eos_token_id
    if ends is None:
        raise ValueError("neither its generation_config.json nor its config.json names an eos_token_id")
    return ends if isinstance(ends, list) else [ends]
