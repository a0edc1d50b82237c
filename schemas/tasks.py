"""Tasks as data: questions about a recording, with their prompts and kinds of answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from earmark.schemas.answers.kind import AnswerKind
from earmark.schemas.answers.registry import ANSWER_KINDS
from earmark.schemas.errors import JobError
from earmark.schemas.fixed_columns import FIXED_COLUMNS

# The seven emotions of MELD (Poria et al., 2019) and the six sounds of VocalSound (Gong et al., 2022).
MELD_EMOTIONS = ("neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust")
VOCAL_SOUNDS = ("Laughter", "Sigh", "Cough", "Throat clearing", "Sneeze", "Sniff")
# Languages to translate into, as a prompt names them.
LANGUAGE_NAMES: Mapping[str, str] = {
    "en": "English",
    "zh": "Mandarin",
    "yue": "Cantonese",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "ru": "Russian",
    "ja": "Japanese",
    "ko": "Korean",
    "ar": "Arabic",
}
# What Qwen2-Audio's published evaluation lets the model say (eval_audio/, max_new_tokens).
MAX_NEW_TOKENS = 256
PLACEHOLDER = re.compile(r"\{(language_tag|target|question|row_prompt)\}")
NEW_TASK_KEYS = ("prompt", "labels", "max_new_tokens")
LABELS_OF_MODEL = "checkpoint"  # what a job file writes for the labels that the model was trained on


@dataclass(frozen=True)
class Task:
    """A question and the kind of its answer. The answers to a task are a column of the output, named like the task.

    Attributes:
        about: Purpose of the task, for people.
        base_prompt: Prompt for a base checkpoint; None where only an Instruct checkpoint can answer.
            `{language_tag}`, `{target}`, `{question}` and `{row_prompt}` are filled in from the row and the job.
        chat_prompt: Prompt for an Instruct checkpoint, with the same placeholders.
        labels: Closed set of a "label" task.
        labels_of_model: Whether `labels` are the model's own, which are filled in when the model is chosen.
        label_map: Pairs of a label of the model's own and the corresponding one of `labels`.
        max_new_tokens: Maximum number of tokens of the answer to one segment.
        target_language: Code of the language to answer in; empty for the language of the speech.
        question: Text for `{question}`, and for `{row_prompt}` in rows without a prompt.
        dimensions: Length of a "vector" answer; 0 until the model is chosen.
    """

    name: str
    about: str
    base_prompt: str | None
    chat_prompt: str
    answer: str = "text"
    labels: tuple[str, ...] = ()
    labels_of_model: bool = False
    label_map: tuple[tuple[str, str], ...] = ()
    max_new_tokens: int = MAX_NEW_TOKENS
    target_language: str = ""
    question: str = ""
    dimensions: int = 0

    @property
    def answer_kind(self) -> AnswerKind:
        return ANSWER_KINDS[self.answer]

    @property
    def needs_speech(self) -> bool:
        """Whether segments without speech are skipped."""
        return self.answer_kind.needs_speech

    @property
    def takes_row_prompt(self) -> bool:
        return "{row_prompt}" in self.chat_prompt

    def prompt(self, chat: bool, language: str | None, row_prompt: str | None) -> str:
        """Return the prompt; `language` is a code for which the model has a tag, or None to detect the language.

        Values of the row are inserted literally: placeholders in them are not filled in.
        """
        text = self.chat_prompt if chat else self.base_prompt
        values = {
            "language_tag": f"<|{language}|>" if language else "",
            "target": LANGUAGE_NAMES.get(self.target_language, ""),
            "question": self.question,
            "row_prompt": row_prompt or self.question,
        }
        return PLACEHOLDER.sub(lambda match: values[match[1]], text or "")


def _one_of(labels: tuple[str, ...]) -> str:
    return f"Answer with one of: {', '.join(labels)}."


# Base prompts are those of Qwen2-Audio's published evaluation (eval_audio/ of QwenLM/Qwen2-Audio).
BUILT_IN = (
    Task(
        "transcribe",
        "the speech as text, word for word",
        "Detect the language and recognize the speech: {language_tag}",
        "Transcribe the speech word for word. Answer with the transcript only.",
        "transcript",
    ),
    Task(
        "translate",
        "the speech, translated into the language of --translate_to",
        "Detect the language and translate the speech into {target}: {language_tag}",
        "Translate the speech into {target}. Answer with the translation only.",
        "transcript",
        target_language="en",
    ),
    Task(
        "caption",
        "a one-sentence description of the audio",
        "Generate the caption in English:",
        "Describe the audio in one sentence.",
    ),
    Task(
        "emotion",
        "the speaker's emotion, with MELD's labels",
        "Recognize the emotion with keywords in English:",
        f"What is the speaker's emotion? Answer with one word of: {', '.join(MELD_EMOTIONS)}.",
        "label",
        labels=MELD_EMOTIONS,
    ),
    Task(
        "vocal_sound",
        "the sound a person makes, with VocalSound's labels",
        "Classify the human vocal sound to VocalSound in English:",
        f"Which vocal sound is this? {_one_of(VOCAL_SOUNDS)}",
        "label",
        labels=VOCAL_SOUNDS,
    ),
    Task("analyze", "the answer to the row's prompt, or to --prompt", "{row_prompt}", "{row_prompt}"),
    Task("chat", "a reply to the speech, which is the user's turn (Instruct checkpoints)", None, ""),
    Task("embed", "one vector per recording, for search and clustering", None, "", "vector"),
)


def new_task(name: str, definition: Any) -> Task:
    """Return a task of a job file.

    Args:
        definition: Mapping of NEW_TASK_KEYS to values; it has a prompt, or LABELS_OF_MODEL as its labels.

    Raises:
        JobError: The name or the definition is invalid.
    """
    where = f"task {name!r} of the job file"
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise JobError(f"{where}: use a name of lowercase letters, digits and _, since it becomes a column")
    if name in FIXED_COLUMNS or name in {task.name for task in BUILT_IN}:
        raise JobError(f"{where}: that name is taken by a column or a built-in task; choose another")
    if not isinstance(definition, dict) or (unknown := definition.keys() - set(NEW_TASK_KEYS)):
        problem = ", ".join(map(repr, unknown)) if isinstance(definition, dict) else repr(definition)
        raise JobError(f"{where} holds {problem}; give {', '.join(NEW_TASK_KEYS)}")
    prompt, labels = definition.get("prompt"), definition.get("labels", [])
    tokens = definition.get("max_new_tokens", MAX_NEW_TOKENS)
    if labels == LABELS_OF_MODEL:  # a classifier, which takes no prompt
        if extra := definition.keys() - {"labels"}:
            raise JobError(f"{where}: a classifier takes no prompt; leave out {', '.join(sorted(extra))}")
        about = "defined by the job file, with the labels of the model"
        return Task(name, about, None, "", "label", labels_of_model=True)
    if not isinstance(prompt, str) or not prompt.strip():
        raise JobError(f"{where} has no prompt; give the question as text")
    if not isinstance(labels, list) or not all(isinstance(label, str) and label.strip() for label in labels):
        raise JobError(
            f"{where}: labels is {labels!r}; give a list of texts (quote yes, no, on, off), or"
            f" the word {LABELS_OF_MODEL} for those of the model"
        )
    labels = [label.strip() for label in labels]
    if len(labels) == 1 or len(set(labels)) < len(labels):
        raise JobError(f"{where}: labels is {labels!r}; give at least two different labels")
    if type(tokens) is not int or tokens < 1:
        raise JobError(f"{where}: max_new_tokens is {tokens!r}; give a whole number above 0")
    # The prompt is the question itself, so that braces in it stay braces.
    kind = "label" if labels else "text"
    about = "defined by the job file"
    return Task(name, about, "{question}", "{question}", kind, tuple(labels), max_new_tokens=tokens, question=prompt)
