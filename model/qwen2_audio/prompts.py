"""What is written around the audio: the templates of Qwen2-Audio's base and Instruct checkpoints, as tokens."""

import re
from functools import lru_cache

from transformers import PreTrainedTokenizerBase, Qwen2AudioProcessor

from earmark.model.decoding.prompt_tree import PromptBranch
from earmark.model.segments.language_codes import language_code
from earmark.model.segments.task_support import check_prompt
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.records import Recording
from earmark.schemas.tasks import Task

AUDIO, AUDIO_BEGIN, AUDIO_END = "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"
END_OF_TURN, END_OF_TEXT = "<|im_end|>", "<|endoftext|>"
LANGUAGE_TAG = re.compile(r"<\|([a-z]{2,3})\|>")
SLOT = "{text of the user}"  # stands for the prompt while a template is rendered
KEPT_PROMPTS = 1024  # tokens of so many prompts are kept; most rows share theirs


class Prompts:
    """Prompts of one checkpoint.

    Args:
        chat: whether it is an Instruct checkpoint, which takes turns.
        context_tokens: of the model's context, those that the longest audio leaves to questions and answers.

    Raises:
        JobError: its template does not put the audio before the question, so that questions cannot share it.
    """

    def __init__(self, processor: Qwen2AudioProcessor, chat: bool, context_tokens: int):
        self.chat = chat
        self.tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        self._context_tokens = context_tokens
        whole = f"{AUDIO_BEGIN}{AUDIO}{AUDIO_END}{SLOT}"
        alone = ""
        if chat:
            whole = _rendered(processor, [{"type": "audio", "audio_url": "-"}, {"type": "text", "text": SLOT}])
            alone = _rendered(processor, [{"type": "audio", "audio_url": "-"}])
        before, after = _around(whole)
        self.head: tuple[int, ...] = self._tokens(before)
        self._before_text, _, self._after_text = after.partition(SLOT)
        self._alone = _around(alone)[1] if chat else ""
        tags = map(LANGUAGE_TAG.fullmatch, self.tokenizer.get_vocab())
        self._tagged = frozenset(tag[1] for tag in tags if tag)
        self._end_token: int = self.tokenizer.convert_tokens_to_ids(END_OF_TURN if chat else END_OF_TEXT)
        self._tails = lru_cache(KEPT_PROMPTS)(self._tokens)

    def ask(self, task: Task, recording: Recording, language: str) -> tuple[str, PromptBranch]:
        """The task's prompt for a recording, as text and as what follows the audio.

        Args:
            language: of recordings that name none; "" to let the model detect it.

        Raises:
            RowError: the prompt is missing or too long, or the model has no tag for the language.
        """
        spoken = self.language(recording.language or language) if task.needs_speech else None
        prompt = task.prompt(self.chat, spoken, _plain(recording.prompt))
        check_prompt(task, prompt)
        tail = f"{self._before_text}{prompt}{self._after_text}" if prompt else self._alone
        tokens = self._tails(tail)
        if len(tokens) + task.max_new_tokens > self._context_tokens:
            raise RowError(
                "prompt",
                f"a prompt of {len(tokens)} tokens and an answer of up to {task.max_new_tokens} do not fit into the"
                f" {self._context_tokens} tokens of the model's context that audio leaves; ask more shortly",
            )
        labels = tuple((*self._tails(label), self._end_token) for label in task.labels)
        return prompt, PromptBranch(tokens, task.max_new_tokens, labels)

    def language(self, wanted: str) -> str | None:
        """The code of a language as manifests name it ("en-US"), None for none.

        Raises:
            RowError: it is no code; or a base checkpoint, whose prompts carry the language, has no tag for it.
        """
        code = language_code(wanted)
        if code and not self.chat and code not in self._tagged:
            raise RowError("language", f"the model has no tag for the language {wanted!r}; use one such as en, zh, de")
        return code

    def detected_language(self, tokens: tuple[int, ...]) -> str | None:
        """The code of the language tag that an answer begins with."""
        first = self.tokenizer.convert_ids_to_tokens(tokens[0]) if tokens else ""
        tag = LANGUAGE_TAG.fullmatch(first or "")
        return tag[1] if tag else None

    def text(self, tokens: tuple[int, ...]) -> str:
        """Tokens of an answer as text."""
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))


def _rendered(processor: Qwen2AudioProcessor, content: list[dict[str, str]]) -> str:
    turn = [{"role": "user", "content": content}]
    return str(processor.apply_chat_template(turn, add_generation_prompt=True, tokenize=False))


def _around(whole: str) -> tuple[str, str]:
    """What comes before the audio's token and what behind it."""
    before, found, after = whole.partition(AUDIO)
    if not found or AUDIO in after or SLOT in before:
        raise JobError(f"the model's chat template does not put one audio before the question: {whole!r}")
    return before, after


def _plain(text: str | None) -> str | None:
    """A row's text in which nothing looks like one of the model's special tokens."""
    return text.replace("<|", "< |") if text else text
