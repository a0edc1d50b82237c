"""Decoding of encoder-decoder models with transformers' `generate`, greedy or by beam search."""

from collections.abc import Sequence

import torch
from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from earmark.model.decoding.greedy import Decoded


class _GreedyLogprobs(LogitsProcessor):
    """Record the log-probability of each token that greedy decoding picks, after all other processors.

    `output_scores` would keep every step's scores over the whole vocabulary until the end.
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
    """Decode one text for each clip.

    Calls GenerationMixin.generate itself, because models such as Whisper wrap it in a method of their own, which
    encodes the audio a second time and has one prompt for all clips.

    Args:
        network: Encoder-decoder model; its generation_config sets the end tokens and the suppressed tokens.
        encoded: Output of the encoder, with last_hidden_state (clips, positions, width).
        attention_mask: Mask of the encoder's input, 1 where there is audio, int64 (clips, frames).
        prompts: Token ids that each text begins with, int64 (clips, tokens).
        beam_size: Number of beams, 1 for greedy decoding.
        max_new_tokens: Maximum number of tokens after the prompt, including the end token.
        processors: Further rules for the logits.
    """
    greedy_logprobs = _GreedyLogprobs()
    output = GenerationMixin.generate(
        network,
        encoder_outputs=encoded,
        attention_mask=attention_mask,
        decoder_input_ids=prompts,
        logits_processor=LogitsProcessorList([*processors, greedy_logprobs] if beam_size == 1 else processors),
        num_beams=beam_size,
        do_sample=False,
        max_new_tokens=max_new_tokens,
        return_dict_in_generate=True,
        output_scores=beam_size > 1,
    )
    rows = output.sequences[:, prompts.shape[1] :].tolist()
    eos_ids = set(end_tokens(network))
    lengths = [next((index for index, token in enumerate(row) if token in eos_ids), None) for row in rows]
    counts = [len(row) if length is None else length + 1 for row, length in zip(rows, lengths, strict=True)]
    if beam_size == 1:
        steps = torch.stack(greedy_logprobs.steps).double().cpu()
        sums = [float(steps[:count, clip].sum()) for clip, count in enumerate(counts)]
    else:  # beam search divides its sums by this
        penalty = network.generation_config.length_penalty
        penalty = 1.0 if penalty is None else penalty
        scores = output.sequences_scores.tolist()
        sums = [score * count**penalty for score, count in zip(scores, counts, strict=True)]
    return [
        Decoded(tuple(row[:length]), logprob_sum, count, length is None)
        for row, length, count, logprob_sum in zip(rows, lengths, counts, sums, strict=True)
    ]


def end_tokens(network: PreTrainedModel) -> list[int]:
    """Return the ids of the tokens that end a text.

    Raises:
        ValueError: No file of the checkpoint names one.
    """
    eos_ids = network.generation_config.eos_token_id
    if eos_ids is None:
        raise ValueError("neither its generation_config.json nor its config.json names an eos_token_id")
    return eos_ids if isinstance(eos_ids, list) else [eos_ids]
