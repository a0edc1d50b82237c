"""The chat format of an audio language model: the text around the audio, audio features, and parsing of answers.

The part that all kinds of checkpoints share; the kinds are in model/audio_chat/supported_models.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import transformers
from transformers import PreTrainedTokenizerBase

from earmark.model.segments.task_support import PROMPT_SLOT, takes_text_prompt
from earmark.schemas.records import SAMPLE_RATE_HZ
from earmark.schemas.tasks import Task

MIN_SAMPLES = SAMPLE_RATE_HZ // 10  # shorter audio is padded: in some models it would make no audio token


@dataclass(frozen=True, slots=True, eq=False)
class AudioInputs:
    """One segment of audio as input of a model's encoder.

    Attributes:
        inputs: Arguments of the model's `get_audio_features`, each with a first dimension of 1.
        tokens: Number of audio tokens in the language model's context.
    """

    inputs: Mapping[str, torch.Tensor]
    tokens: int


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """An answer as text, and its language if the model's output names one."""

    text: str
    language: str | None = None


class ChatFormat(ABC):
    """The chat format of one checkpoint. The audio comes first in the user's turn, so that all questions share it.

    Args:
        tokenizer: Tokenizer of the checkpoint.
        template: Its chat template.

    Raises:
        ValueError: The template has no audio, or puts it after the question.

    Attributes:
        about: Name of the kind of model, for messages.
        example: A published checkpoint of this kind.
        network: Class of transformers.
        audio_token: Text of the audio token.
        thinker_only: Whether the network is the thinker of a model that also speaks.
        capturable: Whether a decode step can be captured as a CUDA graph.
        min_tokens: Number of audio tokens of the shortest audio.
        prefix: Text before the audio.
    """

    about: ClassVar[str]
    example: ClassVar[str]
    network: ClassVar[str]
    audio_token: ClassVar[str]
    thinker_only: ClassVar[bool] = False
    capturable: ClassVar[bool] = True
    min_tokens = 0

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str | None):
        if not template:
            raise ValueError("it has no chat template; get chat_template.jinja or chat_template.json")
        self.tokenizer = tokenizer
        self._template = template
        self.prefix, after_audio = self._render_around_audio(PROMPT_SLOT)
        self._before_prompt, slot, self._after_prompt = after_audio.partition(PROMPT_SLOT)
        self._suffix_without_prompt = self._render_around_audio("")[1]
        self._takes_text = bool(slot)

    @classmethod
    @abstractmethod
    def load(cls, folder: str) -> "ChatFormat":
        """Load the chat format of a checkpoint. Raises OSError or ValueError if its files are missing or wrong."""

    @abstractmethod
    def prepare_audio(self, samples: np.ndarray) -> AudioInputs:
        """Compute the encoder's inputs of one segment, without padding for others.

        Args:
            samples: Waveform, float32 at SAMPLE_RATE_HZ, at least MIN_SAMPLES and at most 30 s.
        """

    def supports(self, task: Task) -> bool:
        """Whether the model was trained for a task of this kind."""
        return takes_text_prompt(task) and self._takes_text

    def suffix(self, task: Task, prompt: str, language: str | None) -> str:
        """Return the text from the audio's end to where the answer begins.

        Args:
            task: Task of the prompt.
            prompt: The user's text; may be empty.
            language: Code of the spoken language, None if unknown.
        """
        return f"{self._before_prompt}{prompt}{self._after_prompt}" if prompt else self._suffix_without_prompt

    def parse(self, task: Task, tokens: tuple[int, ...]) -> ParsedAnswer:
        """Turn the token ids of an answer into text."""
        return ParsedAnswer(self._text(tokens))

    def end_tokens(self, folder: str) -> list[int]:
        """Return the ids of the tokens that end an answer, first the end of a turn, which also ends labels."""
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        eos_ids: Any = getattr(config, "eos_token_id", None) or config.get_text_config().eos_token_id
        if (Path(folder) / "generation_config.json").is_file():
            generation = transformers.GenerationConfig.from_pretrained(folder, local_files_only=True)
            eos_ids = generation.eos_token_id or eos_ids
        eos_ids = list(eos_ids) if isinstance(eos_ids, list | tuple) else [eos_ids]
        eos_ids = [eos_id for eos_id in eos_ids if eos_id is not None]
        if not eos_ids:
            raise ValueError("neither its generation_config.json nor its config.json names an eos_token_id")
        return sorted(eos_ids, key=lambda eos_id: eos_id != self.tokenizer.eos_token_id)

    def _render_around_audio(self, text: str) -> tuple[str, str]:
        """Render the template for a user's text; return what precedes the audio token and what follows it."""
        content = [{"type": "audio", "audio_url": "-"}, *([{"type": "text", "text": text}] if text else [])]
        turn = [{"role": "user", "content": content}]
        rendered = str(
            self.tokenizer.apply_chat_template(
                turn, chat_template=self._template, add_generation_prompt=True, tokenize=False
            )
        )
        before, audio, after = rendered.partition(self.audio_token)
        if not audio or self.audio_token in after or PROMPT_SLOT in before:
            raise ValueError(f"its chat template does not put one audio before the question: {rendered!r}")
        return before, after

    def _text(self, tokens: tuple[int, ...]) -> str:
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()


def is_transcription(task: Task) -> bool:
    """Whether a task is a plain transcript, for which some models have a prompt format of their own."""
    return task.answer == "transcript" and not task.target_language
