"""Signs that a transcript is not to be trusted, from the text alone."""

import zlib

# OpenAI's reference code treats text that gzip shortens by more than this as a loop (whisper/transcribe.py).
MAX_COMPRESSION_RATIO = 2.4
# NeMo Curator's hallucination stage drops what is said faster than this.
MAX_CHARACTERS_PER_S = 40.0


def is_repetitive(text: str) -> bool:
    """Whether the text repeats itself as decoders in a loop do."""
    encoded = text.encode("utf-8")
    return bool(encoded) and len(encoded) / len(zlib.compress(encoded)) > MAX_COMPRESSION_RATIO


def is_too_fast(text: str, seconds: float) -> bool:
    """Whether nobody could say this much in `seconds`."""
    return len(text) > MAX_CHARACTERS_PER_S * seconds
