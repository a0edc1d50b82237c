"""Flags of answers that may be wrong, from the text alone."""

import math
import zlib

from earmark.schemas.tasks import Task

# OpenAI's reference code treats text that compresses by more than this as a loop (whisper/transcribe.py).
MAX_COMPRESSION_RATIO = 2.4
# NeMo Curator's hallucination stage drops speech that is faster than this.
MAX_CHARACTERS_PER_S = 40.0


def is_repetitive(text: str) -> bool:
    """Whether the text repeats itself, as from a decoder caught in a loop."""
    encoded = text.encode("utf-8")
    return bool(encoded) and len(encoded) / len(zlib.compress(encoded)) > MAX_COMPRESSION_RATIO


def is_too_fast(text: str, seconds: float) -> bool:
    """Whether the text is too long to be spoken in `seconds`."""
    return len(text) > MAX_CHARACTERS_PER_S * seconds


def spoken_flags(text: str, seconds: float, truncated: bool = False) -> frozenset[str]:
    """Flags of a transcript of `seconds` of audio; `truncated` if decoding stopped at its limit."""
    flags = {"repetition": is_repetitive(text), "too_fast": is_too_fast(text, seconds), "truncated": truncated}
    return frozenset(flag for flag, is_set in flags.items() if is_set)


def answer_flags(task: Task, text: str, seconds: float, truncated: bool) -> frozenset[str]:
    """Flags of an answer to a text prompt, which may be empty, and need not be a transcript."""
    flags = spoken_flags(text, seconds if task.needs_speech else math.inf, truncated)
    return flags if text else flags | {"empty"}
