"""Audio clips of some rows for a page: decoded as for annotation, encoded as MP3, with a waveform and a spectrogram."""

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
from earmark.reporting.report.sample_rows import ReportRow
from earmark.schemas.errors import RowError
from earmark.schemas.records import SAMPLE_RATE_HZ

CLIP_S = 60.0  # a longer recording is cut to its beginning
BUDGET_BYTES = 10 * 2**20  # size of all clips of a page in base64; clips beyond it are not embedded
MELS = 80
FRAME_SAMPLES = 512  # 32 ms
MAX_FRAMES = 600  # width of a spectrogram
DYNAMIC_DB = 70.0  # range of a spectrogram below its loudest point; the rest is black
WEBP_QUALITY = 60
MP3_QUALITY = 0.6  # libsndfile's compression_level; a minute of speech at 16 kHz becomes some 250 KB


@dataclass(frozen=True, slots=True)
class Clip:
    """The audio of a recording as the page embeds it.

    Attributes:
        audio: MP3 as a data: URL; "" where the audio cannot be read.
        waveform: SVG element.
        spectrogram: WebP as a data: URL; "" where the audio cannot be read.
        shown_s: Duration of the clip, which waveform and spectrogram span.
        note: Why the clip is missing or shorter than the recording; "" for neither.
    """

    audio: str
    waveform: Markup
    spectrogram: str
    shown_s: float
    note: str = ""


def read_clips(rows: Sequence[ReportRow], count: int) -> dict[int, Clip]:
    """Clips of `count` rows by row number: one half are the first rows, the other half come from the random sample.

    A recording that cannot be read becomes a clip without audio and with a note.
    """
    numbers = _clip_rows(rows, count)
    clips: dict[int, Clip] = {}
    size_bytes = 0
    audio = read_audio([rows[number] for number in numbers], CLIP_S)
    for number, samples in zip(numbers, audio, strict=True):
        if isinstance(samples, RowError):
            clips[number] = Clip("", Markup(), "", 0.0, f"The audio can no longer be read: {samples.message}.")
            continue
        clip = make_clip(samples, rows[number].duration_s)
        size_bytes += len(clip.audio) + len(clip.spectrogram) + len(clip.waveform)
        if size_bytes > BUDGET_BYTES:
            break
        clips[number] = clip
    return clips


def _clip_rows(rows: Sequence[ReportRow], count: int) -> list[int]:
    """Numbers of the rows that get a clip."""
    first = list(range(min(len(rows), count - count // 2)))
    random = [number for number, row in enumerate(rows) if row.reason == "random" and number >= len(first)]
    others = [number for number in range(len(first), len(rows)) if number not in random]
    sample = _spread(random, count - len(first))
    sample += others[: count - len(first) - len(sample)]
    return first + sample


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    """`count` of the numbers, evenly spread: the random rows are sorted too, so the first would be the most suspect."""
    if len(numbers) <= count:
        return list(numbers)
    return [numbers[int(index)] for index in np.linspace(0, len(numbers) - 1, count)]


def make_clip(samples: np.ndarray, duration_s: float) -> Clip:
    """Encode a clip and draw it.

    Args:
        samples: float32 of shape (samples,) at SAMPLE_RATE_HZ.
        duration_s: Duration of the whole recording.
    """
    shown_s = len(samples) / SAMPLE_RATE_HZ
    waveform = Markup(draw_waveform(samples))
    return Clip(_mp3(samples), waveform, _spectrogram(samples), shown_s, _length_note(shown_s, duration_s))


def _length_note(shown_s: float, duration_s: float) -> str:
    if duration_s - shown_s < 0.1:
        return ""
    if shown_s >= CLIP_S:
        return f"The first {shown_s:g} s of {duration_s:.1f} s."
    return f"The file has changed since it was annotated: {duration_s:.1f} s then, {shown_s:.1f} s now."


def _mp3(samples: np.ndarray) -> str:
    """A data: URL of MP3, which every browser plays."""
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
    """A data: URL of a mel spectrogram from 0 to 8 kHz, low frequencies at the bottom."""
    hop = max(FRAME_SAMPLES // 4, -(-len(samples) // MAX_FRAMES))
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
