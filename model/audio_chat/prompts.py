"""Prompts of a chat model: from a task and a row to the token ids that follow the audio."""

import re
from collections.abc import Sequence
from functools import lru_cache

from earmark.model.audio_chat.chat_format import ChatFormat
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.segments.language_codes import language_code
from earmark.model.segments.task_support import check_context, check_prompt
from earmark.schemas.records import MAX_SEGMENT_S, Recording
from earmark.schemas.tasks import Task

MAX_AUDIO_TOKENS = MAX_SEGMENT_S * 25  # at 40 ms a token; no kind has more
CACHED_TEXTS = 1024  # texts whose token ids are cached; most rows share theirs


class ChatPrompts:
    """Prompts of one checkpoint.

    Args:
        chat: Chat format of the checkpoint.
        eos_id: Id of the token that ends a turn, and with which labels are scored.
        context_tokens: Number of tokens in the model's context.
        language: Language of recordings whose row names none; "" to let the model detect it.

    Attributes:
        prefix_ids: Token ids before the audio.
    """

    def __init__(self, chat: ChatFormat, eos_id: int, context_tokens: int, language: str):
        self._chat, self._eos_id, self._language = chat, eos_id, language
        self._token_ids = lru_cache(CACHED_TEXTS)(self._encode)
        self.prefix_ids = self._token_ids(chat.prefix)
        self._context_tokens = context_tokens - len(self.prefix_ids) - MAX_AUDIO_TOKENS
        special = {token.content for token in chat.tokenizer.added_tokens_decoder.values()}
        self._special_tokens = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))) or r"(?!)")

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        """Return the prompt of each task as text.

        Raises:
            RowError: The prompt is missing or too long, or the model does not support the language.
        """
        prompts = tuple(task.prompt(True, None, self._plain(recording.prompt)) for task in tasks)
        for task, prompt in zip(tasks, prompts, strict=True):
            check_prompt(task, prompt)
            check_context(len(self.branch(recording, task, prompt).tokens), task, self._context_tokens)
        return prompts

    def branch(self, recording: Recording, task: Task, prompt: str) -> PromptBranch:
        """Return what follows the audio, as token ids. Raises RowError as `prompts` does for a language."""
        language = self.language(recording) if task.needs_speech else None
        labels = tuple((*self._token_ids(label), self._eos_id) for label in task.labels)
        return PromptBranch(self._token_ids(self._chat.suffix(task, prompt, language)), task.max_new_tokens, labels)

    def language(self, recording: Recording) -> str | None:
        """Return the code of the language that the row or the job names ("en-US" gives "en"), None if neither does.

        Raises:
            RowError: It is not the code of a language.
        """
        return language_code(recording.language or self._language)

    def _plain(self, text: str | None) -> str | None:
        """Break up special tokens in a row's text, so that a row cannot end the user's turn."""
        return self._special_tokens.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text) if text else text

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._chat.tokenizer.encode(text, add_special_tokens=False))
