"""From the frames of a CTC model to text: one tokenizer, and for MMS which language it is of."""

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
ADAPTER = "adapter.{}.safetensors"  # of a language
VOCABULARY = "vocab.json"


@dataclass(frozen=True, slots=True)
class Character:
    """One token of the text, `[start, end)` in frames; `logprob` is the mean of its frames."""

    text: str
    start: int
    end: int
    logprob: float


class Speller:
    """Writes what the frames say, as transformers' tokenizers do.

    Args:
        language: of a vocabulary that has several.

    Raises:
        OSError, ValueError, ImportError, KeyError: the tokenizer's files are missing or broken, or need a library.
    """

    def __init__(self, folder: str, language: str = ""):
        chosen = {"target_lang": language} if language else {}
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, **chosen)
        # Tokenizers of word pieces mark the beginning of a word instead.
        self._delimiter = getattr(self._tokenizer, "word_delimiter_token", None) or "▁"
        self._space = getattr(self._tokenizer, "replace_word_delimiter_char", " ")
        self._lower = bool(getattr(self._tokenizer, "do_lower_case", False))

    def text(self, tokens: Sequence[int]) -> str:
        """What the likeliest token of each frame says, repetitions and blanks taken out."""
        return str(self._tokenizer.decode(list(tokens))).strip()

    def characters(self, tokens: Sequence[int], logprobs: Sequence[float]) -> list[Character]:
        """The same one by one, spaces too, from each frame's token and the log-probability of it."""
        names = self._tokenizer.convert_ids_to_tokens(list(tokens))
        found, start = [], 0
        for name, run in itertools.groupby(names):
            end = start + sum(1 for _ in run)
            if name != self._tokenizer.pad_token:  # which is the blank
                found.append(Character(self._written(name), start, end, sum(logprobs[start:end]) / (end - start)))
            start = end
        return found

    def _written(self, name: str) -> str:
        text = name.replace(self._delimiter, self._space)
        return text.lower() if self._lower else text


def adapter_languages(folder: Path) -> tuple[str, ...]:
    """Languages that a checkpoint of MMS has an adapter for, such as "eng" and "uzb-script_latin"; () for any other.

    Raises:
        OSError, ValueError: vocab.json is broken, or of languages that have no adapter.
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


def choose_language(wanted: str, known: Collection[str]) -> str:
    """The one of the known languages that a row or --language means: "eng", "en", "en-US" and "ENG" mean "eng".

    Raises:
        RowError: there is none, or there are several and the name does not tell which.
    """
    if not wanted:
        if len(known) == 1:
            return next(iter(known))
        raise RowError(
            "language",
            f"the model needs the language, one of {join_some(sorted(known), NAMED)}: give the row a language, or all"
            " --language",
        )
    named = wanted.strip().lower().replace("_", "-")
    for language in known:
        if language.lower().replace("_", "-") == named:
            return language
    for code in all_codes(wanted):
        found = sorted(language for language in known if language == code or language.startswith(f"{code}-"))
        if code in found or len(found) == 1:
            return found[0]
        if found:
            raise RowError("language", f"language {wanted!r} may be {', '.join(found)} for the model; name one of them")
    raise RowError(
        "language", f"the model knows no language {wanted!r}; it has adapters for {join_some(sorted(known), 12)}"
    )
