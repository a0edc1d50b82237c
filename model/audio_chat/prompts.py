"""From a task to the tokens that ask for it, for any kind of audio language model that takes turns."""

import re
from collections.abc import Sequence
from functools import lru_cache

from earmark.model.audio_chat.chat_format import ChatFormat
from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.segments.language_codes import language_code
from earmark.model.segments.task_support import check_context, check_prompt
from earmark.schemas.records import Recording
from earmark.schemas.tasks import Task

LONGEST_AUDIO_TOKENS = 750  # of 30 s at 40 ms, which no kind has more of
KEPT_PROMPTS = 1024  # tokens of so many texts are kept; most rows share theirs


class Questions:
    """The questions of one checkpoint.

    Args:
        end: token that ends a turn, with which labels are weighed.
        context_tokens: of the whole conversation.
        language: of recordings that name none; "" to let the model detect it.
    """

    def __init__(self, chat: ChatFormat, end: int, context_tokens: int, language: str):
        self._chat, self._end, self._language = chat, end, language
        self._tokens = lru_cache(KEPT_PROMPTS)(self._encode)
        self.head = self._tokens(chat.head)
        self._context_tokens = context_tokens - len(self.head) - LONGEST_AUDIO_TOKENS
        added = {token.content for token in chat.tokenizer.added_tokens_decoder.values()}
        self._marks = re.compile("|".join(map(re.escape, sorted(added, key=len, reverse=True))) or r"(?!)")

    def prompts(self, recording: Recording, tasks: Sequence[Task]) -> tuple[str, ...]:
        """The text that each task is asked with.

        Raises:
            RowError: the prompt is missing or too long, or the language is none that the model knows.
        """
        prompts = tuple(task.prompt(True, None, self._plain(recording.prompt)) for task in tasks)
        for task, prompt in zip(tasks, prompts, strict=True):
            check_prompt(task, prompt)
            check_context(len(self.question(recording, task, prompt).tokens), task, self._context_tokens)
        return prompts

    def question(self, recording: Recording, task: Task, prompt: str) -> PromptBranch:
        """What follows the audio. Raises RowError as `prompts` does for a language."""
        language = self.language(recording) if task.needs_speech else None
        labels = tuple((*self._tokens(label), self._end) for label in task.labels)
        return PromptBranch(self._tokens(self._chat.tail(task, prompt, language)), task.max_new_tokens, labels)

    def language(self, recording: Recording) -> str | None:
        """The code of the language that a row or the job names ("en-US" is "en"), None where neither does.

        Raises:
            RowError: it is no code of a language.
        """
        return language_code(recording.language or self._language)

    def _plain(self, text: str | None) -> str | None:
        """A row's text in which nothing is one of the model's own marks any more."""
        return self._marks.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text) if text else text

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._chat.tokenizer.encode(text, add_special_tokens=False))
