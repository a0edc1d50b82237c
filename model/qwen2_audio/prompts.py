"""The text around the audio: templates of Qwen2-Audio's base and Instruct checkpoints, as token ids."""

import re
from functools import lru_cache

from transformers import PreTrainedTokenizerBase, Qwen2AudioProcessor

from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.segments.language_codes import language_code
from earmark.model.segments.task_support import PROMPT_SLOT, check_context, check_prompt
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.records import Recording
from earmark.schemas.tasks import Task

AUDIO, AUDIO_BEGIN, AUDIO_END = "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"
END_OF_TURN, END_OF_TEXT = "<|im_end|>", "<|endoftext|>"
LANGUAGE_TAG = re.compile(r"<\|([a-z]{2,3})\|>")
CACHED_PROMPTS = 1024  # prompts whose token ids are cached; most rows share theirs


class Prompts:
    """Prompts of one checkpoint.

    Args:
        chat: Whether it is an Instruct checkpoint, which has a chat template.
        context_tokens: Tokens of the model's context that the longest audio leaves to prompt and answer.

    Raises:
        JobError: The template does not put the audio before the prompt, so that prompts cannot share it.
    """

    def __init__(self, processor: Qwen2AudioProcessor, chat: bool, context_tokens: int):
        self.chat = chat
        self.tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        self._context_tokens = context_tokens
        template = f"{AUDIO_BEGIN}{AUDIO}{AUDIO_END}{PROMPT_SLOT}"
        without_prompt = ""
        if chat:
            template = _rendered(
                processor, [{"type": "audio", "audio_url": "-"}, {"type": "text", "text": PROMPT_SLOT}]
            )
            without_prompt = _rendered(processor, [{"type": "audio", "audio_url": "-"}])
        before_audio, after_audio = _split_at_audio(template)
        self.prefix_ids: tuple[int, ...] = self._encode(before_audio)
        self._before_prompt, _, self._after_prompt = after_audio.partition(PROMPT_SLOT)
        self._without_prompt = _split_at_audio(without_prompt)[1] if chat else ""
        tags = map(LANGUAGE_TAG.fullmatch, self.tokenizer.get_vocab())
        self._tagged = frozenset(tag[1] for tag in tags if tag)
        self._end_token: int = self.tokenizer.convert_tokens_to_ids(END_OF_TURN if chat else END_OF_TEXT)
        self._ids = lru_cache(CACHED_PROMPTS)(self._encode)

    def prompt(self, task: Task, recording: Recording, language: str) -> str:
        """The text prompt of a task for a recording.

        Args:
            language: Language of recordings that name none; "" to let the model detect it.

        Raises:
            RowError: The prompt is missing or too long, or the model has no tag for the language.
        """
        code = self.language(recording.language or language) if task.needs_speech else None
        prompt = task.prompt(self.chat, code, _without_special_tokens(recording.prompt))
        check_prompt(task, prompt)
        check_context(len(self.branch(task, prompt).tokens), task, self._context_tokens)
        return prompt

    def branch(self, task: Task, prompt: str) -> PromptBranch:
        """The token ids that follow the audio."""
        suffix = f"{self._before_prompt}{prompt}{self._after_prompt}" if prompt else self._without_prompt
        labels = tuple((*self._ids(label), self._end_token) for label in task.labels)
        return PromptBranch(self._ids(suffix), task.max_new_tokens, labels)

    def language(self, name: str) -> str | None:
        """The code of a language as manifests name it ("en-US"), None for "".

        Raises:
            RowError: `name` is not a code; or a base checkpoint, whose prompts carry the language, has no tag for it.
        """
        code = language_code(name)
        if code and not self.chat and code not in self._tagged:
            raise RowError("language", f"the model has no tag for the language {name!r}; use one such as en, zh, de")
        return code

    def detected_language(self, tokens: tuple[int, ...]) -> str | None:
        """The code of the language tag that an answer begins with."""
        first = self.tokenizer.convert_ids_to_tokens(tokens[0]) if tokens else ""
        tag = LANGUAGE_TAG.fullmatch(first or "")
        return tag[1] if tag else None

    def text(self, tokens: tuple[int, ...]) -> str:
        """The text of an answer's tokens."""
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))


def _rendered(processor: Qwen2AudioProcessor, content: list[dict[str, str]]) -> str:
    turn = [{"role": "user", "content": content}]
    return str(processor.apply_chat_template(turn, add_generation_prompt=True, tokenize=False))


def _split_at_audio(text: str) -> tuple[str, str]:
    """The text before and after the audio's token."""
    before, token, after = text.partition(AUDIO)
    if not token or AUDIO in after or PROMPT_SLOT in before:
        raise JobError(f"the model's chat template does not put one audio before the question: {text!r}")
    return before, after


def _without_special_tokens(text: str | None) -> str | None:
    """A row's text in which nothing looks like one of the model's special tokens."""
    return text.replace("<|", "< |") if text else text
