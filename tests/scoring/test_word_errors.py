"""Word errors of the command with its defaults, on the demo's recordings."""

import pytest

from tests.support.jobs import PHONE_PROMPTS
from tests.support.word_error_rates import wer_of_earmark, wer_of_faster_whisper


@pytest.mark.slow
def test_word_errors_are_few_and_at_most_two_more_than_those_of_faster_whisper():
    earmark = wer_of_earmark(PHONE_PROMPTS, "whisper-tiny.en")
    faster_whisper = wer_of_faster_whisper(PHONE_PROMPTS, "whisper-tiny.en", "float32")
    assert earmark["wer_percent"] <= 6.0
    assert earmark["word_errors"] <= faster_whisper["word_errors"] + 2
