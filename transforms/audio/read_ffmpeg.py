"""Reads by FFmpeg, through PyAV, everything that libsndfile does not read."""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import av
import numpy as np

from earmark.schemas.errors import RowError
from earmark.transforms.audio.open_audio import Source, block_frames, frames_in, past_end

# Demuxers of recordings. Playlists and the like, which make FFmpeg open other files and hosts, are not among them.
FFMPEG_FORMATS = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,caf,flac,g722,gsm,matroska,webm,mov,mp4,mp3,ogg,wav,w64,wv"
PLANES = 8  # PyAV crashes the process on frames of more

av.logging.set_level(None)


@contextmanager
def open_ffmpeg(path: str, offset_s: float) -> Iterator[Source]:
    options = {"format_whitelist": FFMPEG_FORMATS, "protocol_whitelist": "file"}
    with av.open(path, options=options, metadata_errors="replace") as container:
        if not container.streams.audio:
            raise RowError("no_audio_stream", f"the file is {container.format.long_name} and holds no audio")
        stream = container.streams.audio[0]
        stream.thread_type = "NONE"  # one child decodes on each core already
        context = stream.codec_context
        if context is None:
            message = f"the file is {container.format.long_name} of a codec that FFmpeg cannot decode; convert it"
            raise RowError("unsupported_codec", message)
        codec = context.codec.canonical_name
        frames = _ffmpeg_frames(container, stream)
        blocks = _float_blocks(frames, context.sample_rate, context.layout)
        yield Source(context.sample_rate, context.channels, codec, _skip(blocks, offset_s, context.sample_rate))


def _ffmpeg_frames(container: "av.container.InputContainer", stream: "av.AudioStream") -> Iterator["av.AudioFrame"]:
    """Decode all packets; a few damaged ones are skipped, as players do, and many are a RowError."""
    packets = damaged = 0
    for packet in container.demux(stream):
        packets += 1
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
    if damaged > packets * 0.05:
        raise RowError("damaged", f"{damaged} of {packets} packets cannot be decoded; fetch or encode it again")


def _float_blocks(frames: Iterable["av.AudioFrame"], rate: int, layout: "av.AudioLayout") -> Iterator[np.ndarray]:
    """Join frames to blocks of float32 of one rate and layout, even if the stream changes them midway."""
    packing = "fltp" if layout.nb_channels <= PLANES else "flt"  # most decoders make planes, and they are mixed faster
    shapes = itertools.groupby(frames, key=lambda frame: (frame.format.name, frame.layout.name, frame.rate))
    for (_, _, frame_rate), alike in shapes:
        size = block_frames(frame_rate, layout.nb_channels)
        to_float = av.AudioResampler(format=packing, layout=layout, rate=rate)
        joined = av.AudioFifo()
        for frame in alike:
            frame.pts = None  # gaps between timestamps are no reason to stop
            joined.write(frame)
            while joined.samples >= size:
                yield from _arrays(to_float.resample(joined.read(size)))
        if joined.samples:
            yield from _arrays(to_float.resample(joined.read()))
        yield from _arrays(to_float.resample(None))


def _arrays(frames: Iterable["av.AudioFrame | None"]) -> Iterator[np.ndarray]:
    for frame in frames:
        if frame is not None:
            values = frame.to_ndarray()
            yield values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)


def _skip(blocks: Iterator[np.ndarray], offset_s: float, rate: int) -> Iterator[np.ndarray]:
    """Skip to the offset by decoding from the start, since seeking in compressed audio is not exact."""
    to_skip = frames_in(offset_s, rate)
    decoded = 0
    for block in blocks:
        decoded += len(block)
        if decoded > to_skip:
            yield block[max(0, len(block) - (decoded - to_skip)) :]
    if to_skip and decoded <= to_skip:
        raise past_end(offset_s, decoded / rate)
