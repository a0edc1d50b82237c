"""Base of all Whisper engines, independent of the runtime: tokens, languages, prompts, and the loop over segments.

Every segment is padded to the 30 s that Whisper was trained on, so an answer cannot depend on its neighbours.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from tokenizers import Tokenizer
from transformers import WhisperFeatureExtractor

from earmark.model.whisper.language_first import LanguageFirst, Window
from earmark.model.whisper.languages import ENGLISH_ONLY, spoken_language
from earmark.model.whisper.output_parts import OutputParts, WhisperOutput
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, Answers, Clip, Recording
from earmark.schemas.tasks import Task


class WhisperEngine(ABC):
    """Transcribes, and translates into English; a subclass runs the model in `_generate`.

    Args:
        tokenizer: The checkpoint's tokenizer.
        decode: Text of token ids.
        extractor: The checkpoint's feature extractor, which pads segments to its window.
        languages: Codes of the checkpoint's languages.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        decode: Callable[[Sequence[int]], str],
        extractor: WhisperFeatureExtractor,
        languages: frozenset[str],
        options: JobOptions,
    ):
        self._tokenizer = tokenizer
        self._window_samples = int(extractor.n_samples)
        self._languages = languages
        self._options = options
        self._first_timestamp = self._token("<|notimestamps|>") + 1
        self._output_parts = OutputParts(
            decode, self._token("<|endoftext|>"), self._first_timestamp, options.timestamps
        )

    @abstractmethod
    def _generate(self, windows: Sequence[Window]) -> Sequence[WhisperOutput]:
        """Output of the model for each window of a batch; all have the same tasks, and their audio is encoded once."""

    def annotate(self, clips: Sequence[Clip], tasks: Sequence[Task]) -> list[Answers | RowError]:
        """As Engine.annotate; segments without speech run for vectors only."""
        budget = int(self._options.batch_s * SAMPLE_RATE_HZ)
        loop = LanguageFirst(self._generate, self._known_language, self._output_parts, self._window_samples, budget)
        return loop.annotate(clips, tasks)

    def _known_language(self, recording: Recording) -> str | None:
        """Language of a recording that the row, the job or the checkpoint names; None to detect it.

        Raises:
            RowError: The checkpoint lacks the language.
        """
        if name := recording.language or self._options.language:
            return spoken_language(name, self._languages)
        return "en" if self._languages == ENGLISH_ONLY else None

    def _prompt(self, language: str, task: Task) -> list[int]:
        prompt = [self._token("<|startoftranscript|>")]
        if self._languages != ENGLISH_ONLY:
            prompt.append(self._token(f"<|{language}|>"))
            prompt.append(self._token("<|translate|>" if task.target_language else "<|transcribe|>"))
        return prompt if self._options.timestamps else [*prompt, self._first_timestamp - 1]

    def _token(self, text: str) -> int:
        token = self._tokenizer.token_to_id(text)
        if token is None:
            raise JobError(f"the model's tokenizer has no {text}; it is not Whisper's")
        return int(token)
