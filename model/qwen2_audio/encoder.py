"""Qwen2-Audio's audio encoder over clips of any length up to 30 s.

transformers' own forward accepts exactly 3000 frames. Here a batch has the length of its longest clip, and padding is
masked, so the features equal those of the padded forward.
"""

import torch
from torch.nn import functional
from transformers import Qwen2AudioForConditionalGeneration

SAMPLES_PER_TOKEN = 160 * 2 * 2  # 40 ms: the hop of a frame, doubled by the second convolution and by the pooling


def encode_audio(
    model: Qwen2AudioForConditionalGeneration, mels: torch.Tensor, frames: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of audio for the language model.

    Args:
        mels: Spectrograms, (clips, mels, frames of the longest clip and LogMels' margin after it, within 30 s).
        frames: Number of mel frames of each clip, int64 (clips,).

    Returns:
        Embeddings, (clips, tokens of the longest clip, hidden size), and the number of tokens of each clip,
        int64 (clips,).
    """
    tower = model.model.audio_tower
    convolved = (frames - 1) // 2 + 1
    longest = int(convolved.max())
    hidden = functional.gelu(tower.conv1(mels.to(tower.conv1.weight.dtype)))
    hidden = functional.gelu(tower.conv2(hidden)).permute(0, 2, 1)[:, :longest]
    hidden = hidden + tower.embed_positions.weight[:longest]
    mask = None
    if int(convolved.min()) < longest:
        in_clip = torch.arange(longest, device=mels.device) < convolved[:, None]
        mask = in_clip[:, None, None, :].expand(-1, 1, longest, -1)
    for layer in tower.layers:
        hidden = layer(hidden, mask)
    pooled = tower.avg_pooler(hidden.permute(0, 2, 1)).permute(0, 2, 1)
    return model.model.multi_modal_projector(tower.layer_norm(pooled)), convolved // 2
