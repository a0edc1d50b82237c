"""Audio of some rows for a page: by the decoder that annotated them, as MP3 with pictures."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import librosa
import matplotlib
import numpy as np
import soundfile
from markupsafe import Markup
from PIL import Image

from earmark.reporting.report.plots import draw_waveform
from earmark.reporting.report.row_audio import read_audio
from earmark.reporting.report.sample_rows import ShownRow
from earmark.schemas.errors import RowError
from earmark.schemas.records import SAMPLE_RATE_HZ

CLIP_S = 60.0  # of a longer recording the page has its beginning
BUDGET_BYTES = 10 * 2**20  # of all clips of a page together, in base64; what comes after it is not embedded
MELS = 80
FRAME_SAMPLES = 512  # 32 ms
COLUMNS = 600  # of a spectrogram at most
DYNAMIC_DB = 70.0  # below its loudest point a spectrogram is black
WEBP_QUALITY = 60
MP3_QUALITY = 0.6  # libsndfile's compression_level; a minute of speech at 16 kHz becomes some 250 KB


@dataclass(frozen=True, slots=True)
class Clip:
    """What the page has of a recording's audio.

    Attributes:
        audio, spectrogram: as data: URLs; "" where there are none, and `note` says why.
        shown_s: how long the clip is, which waveform and spectrogram span.
    """

    audio: str
    waveform: Markup
    spectrogram: str
    shown_s: float
    note: str = ""


def read_clips(rows: Sequence[ShownRow], count: int) -> dict[int, Clip]:
    """Clips of `count` rows by their number: half of them the first, the rest of the random sample.

    A recording that cannot be read is a clip without audio that says so.
    """
    numbers = _numbers(rows, count)
    clips: dict[int, Clip] = {}
    size_bytes = 0
    heard = read_audio([rows[number] for number in numbers], CLIP_S)
    for number, samples in zip(numbers, heard, strict=True):
        if isinstance(samples, RowError):
            clips[number] = Clip("", Markup(), "", 0.0, f"The audio cannot be read any more: {samples.message}.")
            continue
        clip = make_clip(samples, rows[number].duration_s)
        size_bytes += len(clip.audio) + len(clip.spectrogram) + len(clip.waveform)
        if size_bytes > BUDGET_BYTES:
            break
        clips[number] = clip
    return clips


def _numbers(rows: Sequence[ShownRow], count: int) -> list[int]:
    first = list(range(min(len(rows), count - count // 2)))
    random = [number for number, row in enumerate(rows) if row.reason == "random" and number >= len(first)]
    others = [number for number in range(len(first), len(rows)) if number not in random]
    chosen = _evenly(random, count - len(first))
    chosen += others[: count - len(first) - len(chosen)]
    return first + chosen


def _evenly(numbers: Sequence[int], count: int) -> list[int]:
    """`count` of them from beginning to end: the random rows are in order of need."""
    if len(numbers) <= count:
        return list(numbers)
    return [numbers[int(place)] for place in np.linspace(0, len(numbers) - 1, count)]


def make_clip(samples: np.ndarray, duration_s: float) -> Clip:
    """Args: samples: float32 of shape (samples,) at SAMPLE_RATE_HZ. duration_s: of the whole recording."""
    shown_s = len(samples) / SAMPLE_RATE_HZ
    waveform = Markup(draw_waveform(samples))
    return Clip(_mp3(samples), waveform, _spectrogram(samples), shown_s, _shortened(shown_s, duration_s))


def _shortened(shown_s: float, duration_s: float) -> str:
    if duration_s - shown_s < 0.1:
        return ""
    if shown_s >= CLIP_S:
        return f"The first {shown_s:g} s of {duration_s:.1f} s."
    return f"The file is not what was annotated: {duration_s:.1f} s then, {shown_s:.1f} s now."


def _mp3(samples: np.ndarray) -> str:
    """MP3, which every browser plays."""
    content = io.BytesIO()
    soundfile.write(
        content,
        np.clip(samples, -1, 1),
        SAMPLE_RATE_HZ,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=MP3_QUALITY,
    )
    return _data_url("audio/mpeg", content.getvalue())


def _spectrogram(samples: np.ndarray) -> str:
    """Mels of 0 to 8 kHz, low at the bottom, over time."""
    hop = max(FRAME_SAMPLES // 4, -(-len(samples) // COLUMNS))
    power = librosa.feature.melspectrogram(
        y=np.pad(samples, (0, max(0, FRAME_SAMPLES - len(samples)))),
        sr=SAMPLE_RATE_HZ,
        n_fft=FRAME_SAMPLES,
        hop_length=hop,
        n_mels=MELS,
    )
    level = librosa.power_to_db(power, ref=np.max, top_db=DYNAMIC_DB) / DYNAMIC_DB + 1
    colours = matplotlib.colormaps["magma"](level[::-1], bytes=True)
    content = io.BytesIO()
    Image.fromarray(colours[:, :, :3]).save(content, "WEBP", quality=WEBP_QUALITY)
    return _data_url("image/webp", content.getvalue())


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
