"""Signs that a transcript is not to be trusted, from the text alone."""

import math
import zlib

from earmark.schemas.tasks import Task

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


def spoken_flags(text: str, seconds: float, truncated: bool = False) -> frozenset[str]:
    """Of what a model heard somebody say in `seconds`; `truncated` where the model was not done with it."""
    signs = {"repetition": is_repetitive(text), "too_fast": is_too_fast(text, seconds), "truncated": truncated}
    return frozenset(flag for flag, is_there in signs.items() if is_there)


def answer_flags(task: Task, text: str, seconds: float, truncated: bool) -> frozenset[str]:
    """Of the answer of a model that is asked in words: it may be empty, and is not always what somebody says."""
    flags = spoken_flags(text, seconds if task.needs_speech else math.inf, truncated)
    return flags if text else flags | {"empty"}
