"""An mp3 is read to its end whatever its first frames make of its length: libsndfile alone would stop there."""

import numpy as np
import pytest
import soundfile

from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.transforms.audio.audio_file import Levels, open_source, resampled_blocks

RATE_HZ = 44_100
KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # of MPEG 1, layer III, by its code


@pytest.fixture
def frames(tmp_path):
    """Frames of 10 s that begin loud, in much larger frames than those of the silence that follows."""
    samples = np.zeros(10 * RATE_HZ, np.float32)
    samples[:RATE_HZ] = 0.3 * np.random.default_rng(0).standard_normal(RATE_HZ)
    soundfile.write(tmp_path / "a.mp3", samples, RATE_HZ, bitrate_mode="VARIABLE")
    content, frames, at = (tmp_path / "a.mp3").read_bytes(), [], 0
    while at < len(content):
        length = 144_000 * KBPS[content[at + 2] >> 4] // RATE_HZ + (content[at + 2] >> 1 & 1)
        frames.append(content[at : at + length])
        at += length
    return frames


def decoded_s(tmp_path, content):
    path = tmp_path / "b.mp3"
    path.write_bytes(content)
    with open_source(str(path), 0.0) as source:
        assert source.codec == "mp3"
        return sum(len(block) for block in resampled_blocks(source, None, None, 100.0, Levels())) / SAMPLE_RATE_HZ


def test_an_mp3_with_a_count_of_its_bytes_is_read_to_its_end(tmp_path, frames):
    assert decoded_s(tmp_path, b"".join(frames)) == pytest.approx(10, abs=0.01)


def test_an_mp3_without_a_count_is_read_to_its_end(tmp_path, frames):
    assert decoded_s(tmp_path, b"".join(frames[1:])) == pytest.approx(10, abs=0.1)


def test_mp3s_put_one_behind_the_other_are_read_to_their_end(tmp_path, frames):
    assert decoded_s(tmp_path, b"".join(frames + frames)) == pytest.approx(20, abs=0.2)


def test_tags_before_and_behind_are_no_part_of_the_count(tmp_path, frames):
    before = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    behind = b"TAG" + bytes(125)
    assert decoded_s(tmp_path, before + b"".join(frames) + behind) == pytest.approx(10, abs=0.01)
