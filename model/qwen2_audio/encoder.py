"""Qwen2-Audio's audio encoder over clips of any length up to 30 s.

transformers' own forward takes 3000 frames and no other number. Here a batch is as long as its longest clip, and what
lies behind a clip's end is hidden from it, so the features are those of the padded forward.
"""

import torch
from torch.nn import functional
from transformers import Qwen2AudioForConditionalGeneration

SAMPLES_PER_TOKEN = 160 * 2 * 2  # 40 ms: a frame's hop, halved in number by the second convolution and by the pooling


def encode_audio(
    model: Qwen2AudioForConditionalGeneration, mels: torch.Tensor, frames: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Audio as the language model takes it in.

    Args:
        mels: (clips, mels, frames of the longest and two true ones behind its end, where 30 s leave room for them).
        frames: int64 (clips,), mel frames of each clip.

    Returns:
        (clips, tokens of the longest, hidden size), and int64 (clips,) with the tokens of each.
    """
    tower = model.model.audio_tower
    convolved = (frames - 1) // 2 + 1
    longest = int(convolved.max())
    hidden = functional.gelu(tower.conv1(mels.to(tower.conv1.weight.dtype)))
    hidden = functional.gelu(tower.conv2(hidden)).permute(0, 2, 1)[:, :longest]
    hidden = hidden + tower.embed_positions.weight[:longest]
    mask = None
    if int(convolved.min()) < longest:
        heard = torch.arange(longest, device=mels.device) < convolved[:, None]
        mask = heard[:, None, None, :].expand(-1, 1, longest, -1)
    for layer in tower.layers:
        hidden = layer(hidden, mask)
    pooled = tower.avg_pooler(hidden.permute(0, 2, 1)).permute(0, 2, 1)
    return model.model.multi_modal_projector(tower.layer_norm(pooled)), convolved // 2
