"""The languages of a Whisper checkpoint."""

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from earmark.model.segments.language_codes import primary_code
from earmark.schemas.errors import RowError

# Tokens of a multilingual vocabulary; the English-only one is smaller (whisper/model.py, is_multilingual).
MULTILINGUAL_TOKENS = 51_865
ENGLISH_ONLY = frozenset({"en"})


def whisper_languages(tokenizer: Tokenizer, generation_config: Mapping[str, Any] | None = None) -> frozenset[str]:
    """Codes such as "en" and "zh"; English alone for an English-only checkpoint, which has unused tokens for others.

    Args:
        generation_config: Settings of a checkpoint of transformers. Old ones do not list languages; then the
            vocabulary decides.
    """
    config = generation_config or {}
    if config.get("is_multilingual") is False:
        return ENGLISH_ONLY
    if config.get("lang_to_id"):
        return frozenset(name.strip("<|>") for name in config["lang_to_id"])
    start, end = (tokenizer.token_to_id(name) for name in ("<|startoftranscript|>", "<|translate|>"))
    if tokenizer.get_vocab_size() < MULTILINGUAL_TOKENS or start is None or end is None:
        return ENGLISH_ONLY
    names = (tokenizer.id_to_token(token) for token in range(start + 1, end))
    return frozenset(name.strip("<|>") for name in names if name)


def spoken_language(name: str, languages: frozenset[str]) -> str:
    """The code in `languages` for a language as manifests name it: "en", "en-US", "pt_BR".

    Raises:
        RowError: The checkpoint does not support the language.
    """
    code = primary_code(name)
    if code in languages:
        return code
    if languages == ENGLISH_ONLY:
        raise RowError("language", f"the model supports English only, not {name!r}")
    raise RowError("language", f"the model does not support the language {name!r}; use a code such as en, de, zh")
