"""Word errors of the command with its defaults, on the demo's recordings."""

import pytest

from benches.bench_wer import by_earmark, by_faster_whisper
from tests.support.jobs import PHONE_PROMPTS


@pytest.mark.slow
def test_word_errors_are_few_and_no_more_than_two_above_faster_whisper_s():
    earmark = by_earmark(PHONE_PROMPTS, "whisper-tiny.en")
    faster_whisper = by_faster_whisper(PHONE_PROMPTS, "whisper-tiny.en", "float32")
    assert earmark["wer_percent"] <= 6.0
    assert earmark["word_errors"] <= faster_whisper["word_errors"] + 2
