"""MeasureBandwidth: the frequency up to which a clip holds sound."""

import dataclasses
from collections.abc import Iterator

import apache_beam as beam
import librosa
import numpy as np

from earmark.schemas.records import SAMPLE_RATE_HZ, Clip, DecodedShard
from earmark.transforms.shard_stage import ShardStage

FFT_SAMPLES = 1024
BLOCK_SAMPLES = 1024 * FFT_SAMPLES  # 65 s at a time: a long recording's spectrogram would not fit into memory
ENERGY_SHARE = 0.99


def measure_bandwidth(samples: np.ndarray) -> float:
    """Frequency in Hz below which 99 % of the energy lies, by librosa's spectral roll-off of the mean spectrum.

    At most half of SAMPLE_RATE_HZ, whatever the source's rate; 0.0 for digital silence.
    """
    energy = np.zeros(FFT_SAMPLES // 2 + 1)
    for start in range(0, len(samples), BLOCK_SAMPLES):
        block = np.asarray(samples[start : start + BLOCK_SAMPLES])
        if len(block) < FFT_SAMPLES:
            block = np.pad(block, (0, FFT_SAMPLES - len(block)))
        spectrum = librosa.stft(block, n_fft=FFT_SAMPLES, hop_length=FFT_SAMPLES, center=False)
        energy += np.sum(np.abs(spectrum) ** 2, axis=1)
    if not energy.any():
        return 0.0
    rolloff = librosa.feature.spectral_rolloff(
        S=energy[:, np.newaxis], sr=SAMPLE_RATE_HZ, n_fft=FFT_SAMPLES, roll_percent=ENERGY_SHARE
    )
    return float(rolloff[0, 0])


def _measured(clip: Clip) -> Clip:
    facts = dataclasses.replace(clip.facts, bandwidth_hz=measure_bandwidth(clip.samples))
    return dataclasses.replace(clip, facts=facts)


class _MeasureShard(beam.DoFn):
    def process(self, shard: DecodedShard) -> Iterator[DecodedShard]:
        yield dataclasses.replace(shard, clips=tuple(_measured(clip) for clip in shard.clips))


class MeasureBandwidth(ShardStage):
    """Fills in `facts.bandwidth_hz` of every clip."""

    def __init__(self) -> None:
        super().__init__(_MeasureShard(), DecodedShard)
