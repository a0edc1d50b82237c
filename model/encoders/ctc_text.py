"""From the frames of a CTC model to text, and for MMS from a language to its adapter."""

import itertools
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from earmark.model.segments.language_codes import all_codes
from earmark.schemas.errors import RowError
from earmark.schemas.text import join_some

NAMED = 12  # languages in a message; MMS has over a thousand
ADAPTER = "adapter.{}.safetensors"  # file name by language
VOCABULARY = "vocab.json"


@dataclass(frozen=True, slots=True)
class Character:
    """One token of the text, `[start, end)` in frames; `logprob` is the mean of its frames."""

    text: str
    start: int
    end: int
    logprob: float


class CtcDecoder:
    """Collapses the most likely token of each frame into text, with transformers' tokenizer.

    Args:
        folder: Folder of the checkpoint.
        language: Language to choose in a vocabulary of several.

    Raises:
        OSError, ValueError, ImportError, KeyError: The tokenizer's files are missing or broken, or need a library.
    """

    def __init__(self, folder: str, language: str = ""):
        options = {"target_lang": language} if language else {}
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, **options)
        # Tokenizers of word pieces mark the start of a word instead.
        self._delimiter = getattr(self._tokenizer, "word_delimiter_token", None) or "▁"
        self._space = getattr(self._tokenizer, "replace_word_delimiter_char", " ")
        self._lower = bool(getattr(self._tokenizer, "do_lower_case", False))

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of the frames' tokens, with repetitions and blanks removed."""
        return str(self._tokenizer.decode(list(tokens))).strip()

    def characters(self, tokens: Sequence[int], logprobs: Sequence[float]) -> list[Character]:
        """Return the text as single characters, including spaces, with their frames.

        Args:
            tokens: Most likely token id of each frame.
            logprobs: Log-probability of each token.
        """
        names = self._tokenizer.convert_ids_to_tokens(list(tokens))
        characters, start = [], 0
        for name, run in itertools.groupby(names):
            end = start + sum(1 for _ in run)
            if name != self._tokenizer.pad_token:  # which is the blank
                characters.append(Character(self._text_of(name), start, end, sum(logprobs[start:end]) / (end - start)))
            start = end
        return characters

    def _text_of(self, name: str) -> str:
        text = name.replace(self._delimiter, self._space)
        return text.lower() if self._lower else text


def adapter_languages(folder: Path) -> tuple[str, ...]:
    """Languages with an adapter in a checkpoint of MMS, such as "eng" and "uzb-script_latin"; () for any other model.

    Raises:
        OSError, ValueError: vocab.json is broken, or has languages but no adapter is there.
    """
    if not (folder / VOCABULARY).is_file():
        return ()
    vocabulary = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise ValueError(f"{folder / VOCABULARY} does not hold tokens by name")
    if not all(isinstance(tokens, dict) for tokens in vocabulary.values()):
        return ()
    languages = tuple(sorted(language for language in vocabulary if (folder / ADAPTER.format(language)).is_file()))
    if not languages:
        raise ValueError(
            f"{VOCABULARY} holds tokens by language ({join_some(sorted(vocabulary), NAMED)}), but no"
            f" {ADAPTER.format('*')} is in {folder}; get those of the languages that you need"
        )
    return languages


def choose_language(requested: str, available: Collection[str]) -> str:
    """Return the adapter's language for that of a row or --language: "en", "en-US" and "ENG" give "eng".

    Raises:
        RowError: No adapter matches, or several do.
    """
    if not requested:
        if len(available) == 1:
            return next(iter(available))
        raise RowError(
            "language",
            f"the model needs a language, one of {join_some(sorted(available), NAMED)}: add a column `language`, or"
            " --language for all such rows",
        )
    normalized = requested.strip().lower().replace("_", "-")
    for language in available:
        if language.lower().replace("_", "-") == normalized:
            return language
    for code in all_codes(requested):
        matches = sorted(language for language in available if language == code or language.startswith(f"{code}-"))
        if code in matches or len(matches) == 1:
            return matches[0]
        if matches:
            raise RowError(
                "language",
                f"language {requested!r} matches the model's adapters {', '.join(matches)}; name one of them",
            )
    raise RowError(
        "language",
        f"the model has no adapter for the language {requested!r}, only for {join_some(sorted(available), NAMED)}",
    )
