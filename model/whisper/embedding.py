"""`embed` with Whisper's encoder: the mean of its hidden states over the frames that hold audio.

Every segment is padded to the 30 s that Whisper was trained on, so a vector cannot depend on its neighbours.
"""

from collections.abc import Sequence

import numpy as np
import torch

from earmark.schemas.records import SAMPLE_RATE_HZ

# The encoder makes one frame from two of the spectrogram, 10 ms apart (whisper/audio.py, N_SAMPLES_PER_TOKEN).
FRAME_SAMPLES = SAMPLE_RATE_HZ // 50


def embed_encoded(hidden: torch.Tensor, lengths: Sequence[int]) -> np.ndarray:
    """The mean of each segment's frames that hold audio: float32 (segments, width).

    Args:
        hidden: Hidden states of the encoder for padded segments, (segments, frames, width).
        lengths: Number of samples of each segment.
    """
    frames = torch.tensor([min(-(-length // FRAME_SAMPLES), hidden.shape[1]) for length in lengths])
    frames = frames.to(hidden.device)[:, None]
    holds_audio = torch.arange(hidden.shape[1], device=hidden.device) < frames
    sums = torch.einsum("sfw,sf->sw", hidden.float(), holds_audio.float())
    return np.asarray((sums / frames).cpu().numpy())
