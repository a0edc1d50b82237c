"""Talking with an audio language model: what is written around the audio, and how answers are read.

What is the same for all kinds of checkpoints; model/audio_chat/supported_models.py has the kinds.
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

SHORTEST_SAMPLES = SAMPLE_RATE_HZ // 10  # fewer make no audio token in some models: they get silence behind them


@dataclass(frozen=True, slots=True, eq=False)
class AudioInputs:
    """A piece of audio as a model's encoder takes it in.

    Attributes:
        inputs: arguments of the model's `get_audio_features`, each with a first dimension of 1.
        tokens: places of the language model that it takes.
    """

    inputs: Mapping[str, torch.Tensor]
    tokens: int


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """An answer as text, and its language where the model says it."""

    text: str
    language: str | None = None


class ChatFormat(ABC):
    """How one checkpoint is talked to. The audio comes first in the user's turn, so that all questions share it.

    Args:
        template: its chat template.

    Raises:
        ValueError: the template has no place for audio, or puts it behind the question.

    Attributes:
        head: what comes before the audio.
    """

    about: ClassVar[str]
    example: ClassVar[str]  # a published checkpoint
    network: ClassVar[str]  # transformers' class
    audio_token: ClassVar[str]  # stands for the audio in a text
    thinker_only: ClassVar[bool] = False  # whether the network is the thinker of a model that also speaks
    capturable: ClassVar[bool] = True  # whether a step of its decoder can be captured as a CUDA graph
    least_tokens = 0  # of the language model, that the shortest audio takes

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str | None):
        if not template:
            raise ValueError("it has no chat template; get chat_template.jinja or chat_template.json")
        self.tokenizer = tokenizer
        self._template = template
        self.head, after = self._around(PROMPT_SLOT)
        self._before_prompt, slot, self._after_prompt = after.partition(PROMPT_SLOT)
        self._alone = self._around("")[1]
        self._takes_text = bool(slot)

    @classmethod
    @abstractmethod
    def load(cls, folder: str) -> "ChatFormat":
        """The chat of a checkpoint. Raises OSError or ValueError where its files do not serve."""

    @abstractmethod
    def prefill(self, samples: np.ndarray) -> AudioInputs:
        """Audio, float32 at SAMPLE_RATE_HZ, at least SHORTEST_SAMPLES and at most 30 s, as if it were alone."""

    def fits(self, task: Task) -> bool:
        """Whether the model was made for such a task."""
        return takes_text_prompt(task) and self._takes_text

    def tail(self, task: Task, prompt: str, language: str | None) -> str:
        """What follows the audio up to where the answer begins.

        Args:
            language: code of the language that is spoken, None where it is not known.
        """
        return f"{self._before_prompt}{prompt}{self._after_prompt}" if prompt else self._alone

    def read(self, task: Task, tokens: tuple[int, ...]) -> ParsedAnswer:
        return ParsedAnswer(self._decoded(tokens))

    def end_tokens(self, folder: str) -> list[int]:
        """Tokens that end an answer; that which ends a turn, which labels are weighed with, is the first."""
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        ends: Any = getattr(config, "eos_token_id", None) or config.get_text_config().eos_token_id
        if (Path(folder) / "generation_config.json").is_file():
            ends = transformers.GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id or ends
        ends = list(ends) if isinstance(ends, list | tuple) else [ends]
        of_turn = self.tokenizer.eos_token_id
        found = [end for end in ends if end is not None]
        if not found:
            raise ValueError("neither its generation_config.json nor its config.json names an eos_token_id")
        return sorted(found, key=lambda end: end != of_turn)

    def _around(self, text: str) -> tuple[str, str]:
        content = [{"type": "audio", "audio_url": "-"}, *([{"type": "text", "text": text}] if text else [])]
        turn = [{"role": "user", "content": content}]
        whole = str(
            self.tokenizer.apply_chat_template(
                turn, chat_template=self._template, add_generation_prompt=True, tokenize=False
            )
        )
        before, found, after = whole.partition(self.audio_token)
        if not found or self.audio_token in after or PROMPT_SLOT in before:
            raise ValueError(f"its chat template does not put one audio before the question: {whole!r}")
        return before, after

    def _decoded(self, tokens: tuple[int, ...]) -> str:
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()


def is_transcription(task: Task) -> bool:
    """Whether a task asks for the words that are spoken, for which some models have a manner of their own."""
    return task.answer == "transcript" and not task.target_language
